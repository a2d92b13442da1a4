"""The audit finds labels that were spoilt on purpose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training import jsonl
from training.cli import main

Rows = list[dict[str, Any]]


def test_spoilt_labels_come_first_with_the_reason(
    tmp_path: Path, authored_rows: Rows, write_rows: Callable[[Path, Rows], Path], capsys: pytest.CaptureFixture[str]
):
    rows = [row | {"id": f"{row['id']}-{n}", "doc": f"{row['doc']}-{n}"} for n in range(3) for row in authored_rows]
    missing = next(row for row in rows if "subsidy" in row["instruments"])
    missing["instruments"] = [label for label in missing["instruments"] if label != "subsidy"]
    extra = next(row for row in rows if not row["industries"] and not row["instruments"])
    extra["industries"] = ["agriculture"]
    file = write_rows(tmp_path / "rows.jsonl", rows)
    assert main(["audit", str(file), "--write", str(tmp_path / "doubts.jsonl")]) == 0
    out = capsys.readouterr().out
    assert "subsidy missing? 0." in out
    assert "agriculture extra? 0." in out
    found = [row for _, row in jsonl.read(tmp_path / "doubts.jsonl")]
    assert {missing["id"], extra["id"]} <= {row["id"] for row in found[:4]}
    assert len(found) == 60
    assert out.splitlines()[-1].endswith(" of 180 paragraphs have a label that is probably wrong")


def test_too_few_documents_for_the_folds_are_said(rows_file: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["audit", str(rows_file), "--folds", "11"]) == 1
    assert "--folds 11: only 10 documents" in capsys.readouterr().err
