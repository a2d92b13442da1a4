"""Agreement of annotators, by hand-computed figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from policytag.errors import InputError
from policytag.taxonomy import Taxonomy
from training import agreement
from training.cli import main

Rows = list[dict[str, Any]]
Writer = Callable[[Path, Rows], Path]


def rows(marked: set[int], **more: Any) -> Rows:
    """Ten paragraphs, of which those marked carry ``subsidy``."""
    return [
        {"id": f"{i}", "doc": "d", "text": f"第{i}条", "instruments": ["subsidy"] * (i in marked), "industries": []}
        | more
        for i in range(10)
    ]


def test_kappa_and_f1_are_those_computed_by_hand(tmp_path: Path, taxonomy: Taxonomy, write_rows: Writer):
    # Anna marks 0, 1, 2; Ben 0, 1. Seen 0.9; chance 0.3 * 0.2 + 0.7 * 0.8 = 0.62; (0.9 - 0.62) / 0.38 = 0.7368.
    files = [write_rows(tmp_path / "anna.jsonl", rows({0, 1, 2})), write_rows(tmp_path / "ben.jsonl", rows({0, 1}))]
    report = agreement.agreement(agreement.read(files, taxonomy), taxonomy)
    assert report["labels"]["subsidy"] == {"kappa": 0.7368, "f1": 0.8, "both": 2, "one": 1}
    assert report["labels"]["talent"] == {"kappa": None, "f1": None, "both": 0, "one": 0}
    assert (report["macro_kappa"], report["macro_f1"], report["paragraphs"], report["pairs"]) == (0.7368, 0.8, 10, 10)
    [row] = report["disagreements"]
    assert (row["id"], row["said"]) == ("2", {"anna": ["subsidy"], "ben": []})


def test_three_annotators_of_one_file_make_three_pairs(tmp_path: Path, taxonomy: Taxonomy, write_rows: Writer):
    three = [row for name, marked in (("a", {0}), ("b", {0}), ("c", set())) for row in rows(marked, annotator=name)]
    report = agreement.agreement(agreement.read([write_rows(tmp_path / "x.jsonl", three)], taxonomy), taxonomy)
    assert (report["paragraphs"], report["pairs"]) == (10, 30)
    assert report["labels"]["subsidy"]["both"] == 1
    assert report["labels"]["subsidy"]["one"] == 2


def test_one_annotator_alone_agrees_with_nobody(tmp_path: Path, taxonomy: Taxonomy, write_rows: Writer):
    with pytest.raises(InputError, match="no paragraph has two annotators"):
        agreement.read([write_rows(tmp_path / "anna.jsonl", rows({0}))], taxonomy)


def test_an_annotator_who_judges_twice_is_named(tmp_path: Path, taxonomy: Taxonomy, write_rows: Writer):
    with pytest.raises(InputError, match=r"anna\.jsonl:11: 'anna' judged '0' at .*anna\.jsonl:1 already"):
        agreement.read([write_rows(tmp_path / "anna.jsonl", rows({0}) + rows({1}))], taxonomy)


def test_the_command_lists_who_said_what_and_writes_it_for_a_third_opinion(
    tmp_path: Path, write_rows: Writer, capsys: pytest.CaptureFixture[str]
):
    files = [write_rows(tmp_path / "anna.jsonl", rows({0, 1})), write_rows(tmp_path / "ben.jsonl", rows({0}))]
    again, report = tmp_path / "again.jsonl", tmp_path / "report.json"
    assert main(["agree", *map(str, files), "--write", str(again), "--report", str(report)]) == 0
    assert "1: anna: subsidy; ben: -" in capsys.readouterr().out.splitlines()
    assert json.loads(report.read_text(encoding="utf-8"))["labels"]["subsidy"]["one"] == 1
    tasks = tmp_path / "tasks.json"
    assert main(["export", str(again), "--to", "label-studio", "--out", str(tasks)]) == 0
    [task] = json.loads(tasks.read_text(encoding="utf-8"))
    assert task["data"]["id"] == "1"
    assert task["predictions"][0]["result"][0]["value"] == {"choices": ["subsidy"]}
