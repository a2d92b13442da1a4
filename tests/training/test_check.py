"""The check of annotations: every kind of finding, each with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from policytag.taxonomy import Taxonomy
from training import duplicates
from training.check import ERROR, WARNING, check
from training.cli import main

Rows = list[dict[str, Any]]
LONG = "对新认定的市级企业技术中心给予一次性奖励五十万元,对通过复评的给予二十万元补助,同一企业不重复享受。"


def row(name: str, text: str, instruments: list[str], doc: str = "d") -> dict[str, Any]:
    return {"id": name, "doc": doc, "text": text, "instruments": instruments, "industries": []}


@pytest.fixture
def found(
    tmp_path: Path, taxonomy: Taxonomy, write_rows: Callable[[Path, Rows], Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[tuple[str, str]]]:
    """Checks rows given by split; the files are ``train`` and ``dev`` in the working directory."""
    monkeypatch.chdir(tmp_path)

    def run(**splits: Rows) -> list[tuple[str, str]]:
        files = {name: [write_rows(Path(name), rows)] for name, rows in splits.items()}
        return [(finding.level, finding.message) for finding in check(files, taxonomy).findings]

    return run


def test_clean_rows_have_no_findings_and_are_counted(
    tmp_path: Path, taxonomy: Taxonomy, write_rows: Callable[[Path, Rows], Path]
):
    rows = [row("a", "补贴", ["subsidy"]), row("b", "附则", [], doc="e")]
    checked = check({"train": [write_rows(tmp_path / "a.jsonl", rows)]}, taxonomy)
    assert checked.findings == ()
    counts = checked.counts["train"]
    assert (counts["paragraphs"], counts["documents"], counts["nothing applies"]) == (2, 2, 1)
    assert counts["labels"]["subsidy"] == 1


def test_an_unlabelled_row_is_told_from_one_that_nothing_applies_to(found: Callable[..., Any]):
    rows = [row("a", "附则", []), {"id": "b", "doc": "d", "text": "未读"}]
    assert found(train=rows) == [
        (ERROR, "train:2: is not labelled; expected instruments and industries, [] where nothing applies")
    ]


def test_an_unknown_label_gets_the_nearest_suggested(found: Callable[..., Any]):
    [(level, message)] = found(train=[row("a", "补贴", ["subsidies"])])
    assert (level, message.partition(";")[0]) == (ERROR, "train:1: unknown label 'subsidies'")
    assert "did you mean 'subsidy'?" in message


def test_one_text_with_two_opinions_is_an_error_and_with_one_a_warning(found: Callable[..., Any]):
    rows = [
        row("a", "给予 补贴。", ["subsidy"]),
        row("b", "给予补贴。", ["talent"]),
        row("c", "给予补贴。", ["subsidy"]),
    ]
    assert found(train=rows) == [
        (ERROR, "train:2: same text as train:1, other labels (subsidy, talent); decide, and remove one"),
        (WARNING, "train:3: same text and labels as train:1"),
    ]


def test_the_same_text_or_document_in_two_splits_is_an_error(found: Callable[..., Any]):
    same = found(train=[row("a", "给予补贴。", ["subsidy"])], dev=[row("b", "给予补贴。", ["subsidy"], doc="e")])
    assert same == [(ERROR, "dev:1: same text as train:1 in train; remove one, figures would flatter")]
    document = found(train=[row("a", "给予补贴。", ["subsidy"])], dev=[row("b", "引进人才。", ["talent"])])
    assert document == [(ERROR, "dev:1: document 'd' is in dev and, at train:1, in train; expected it in one")]


def test_nearly_the_same_text_is_an_error_across_splits_a_warning_across_documents(found: Callable[..., Any]):
    near = LONG.replace("五十", "六十")
    [(level, message)] = found(train=[row("a", LONG, ["subsidy"])], dev=[row("b", near, ["subsidy"], doc="e")])
    assert (level, message) == (ERROR, "dev:1: 80% the same as train:1 in train; remove one, figures would flatter")
    [(level, _)] = found(train=[row("a", LONG, ["subsidy"]), row("b", near, ["subsidy"], doc="e")])
    assert level == WARNING
    assert found(train=[row("a", LONG, ["subsidy"]), row("b", near, ["subsidy"])]) == []  # one document is never split


def test_texts_with_one_of_three_grams_in_common_are_a_third_the_same():
    assert list(duplicates.near(["abcdef", "abcdeg"], share=0.3)) == [(0, 1, pytest.approx(1 / 3))]
    assert list(duplicates.near(["abcdef", "abcdeg"], share=0.34)) == []
    assert list(duplicates.near(["一", "二"])) == []


def test_the_command_fails_on_errors_alone(
    tmp_path: Path, write_rows: Callable[[Path, Rows], Path], capsys: pytest.CaptureFixture[str]
):
    odd = write_rows(tmp_path / "odd.jsonl", [row("a", "补贴", ["subsidy"]), row("b", "补贴", ["subsidy"])])
    assert main(["check", str(odd)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "0 errors, 1 warnings"
    wrong = write_rows(tmp_path / "wrong.jsonl", [row(f"{i}", f"第{i}条", ["tax"]) for i in range(60)])
    assert main(["check", str(wrong)]) == 1
    out = capsys.readouterr().out
    assert out.count("error: ") == 50
    assert "... and 10 more errors (--all lists them)" in out
    assert main(["check", str(wrong), "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["findings"]) == 60
