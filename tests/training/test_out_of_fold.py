"""Logits as a file: what was written is read back, what is amiss is named by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from policytag.errors import InputError
from policytag.taxonomy import Taxonomy
from training import out_of_fold
from training.annotations import Annotation, read

ROWS = 3


@pytest.fixture
def rows(rows_file: Path, taxonomy: Taxonomy) -> list[Annotation]:
    return read([rows_file], taxonomy)[:ROWS]


def test_logits_come_back_in_the_order_of_the_rows_asked_for(
    tmp_path: Path, rows: list[Annotation], taxonomy: Taxonomy
):
    logits = np.arange(ROWS * len(taxonomy), dtype=np.float32).reshape(ROWS, -1) / np.float32(8)
    path = tmp_path / "folds" / "oof.jsonl"
    out_of_fold.write(path, rows, logits, taxonomy)
    chosen, found = out_of_fold.read(path, [rows[2], rows[0]], taxonomy)
    assert chosen == [rows[2], rows[0]]
    assert found.tolist() == logits[[2, 0]].tolist()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "t0", "logits": {"subsidy": 1}}', "no id with a number for every label \\('talent'\\)"),
        ('{"id": "t0", "logits": [1]}', "no id with a number for every label"),
        ('{"logits": {}}', "no id with a number for every label"),
        ("t0 1.5", "not JSON"),
    ],
)
def test_a_row_without_every_label_is_named(
    tmp_path: Path, rows: list[Annotation], taxonomy: Taxonomy, line: str, message: str
):
    (tmp_path / "oof.jsonl").write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"oof\.jsonl:2: {message}"):
        out_of_fold.read(tmp_path / "oof.jsonl", rows, taxonomy)


def test_a_logit_that_is_not_finite_is_refused(tmp_path: Path, rows: list[Annotation], taxonomy: Taxonomy):
    logits = np.full((ROWS, len(taxonomy)), np.nan, dtype=np.float32)
    out_of_fold.write(tmp_path / "oof.jsonl", rows, logits, taxonomy)
    with pytest.raises(InputError, match=r"oof\.jsonl:1: a logit is not finite"):
        out_of_fold.read(tmp_path / "oof.jsonl", rows, taxonomy)


def test_logits_of_other_rows_are_refused(tmp_path: Path, rows: list[Annotation], taxonomy: Taxonomy):
    out_of_fold.write(tmp_path / "oof.jsonl", rows[:1], np.zeros((1, len(taxonomy)), dtype=np.float32), taxonomy)
    with pytest.raises(InputError, match="no id is an annotation's"):
        out_of_fold.read(tmp_path / "oof.jsonl", rows[1:], taxonomy)
