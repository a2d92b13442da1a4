"""The measure of evidence: what is lost with it, and with as much text elsewhere."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.cli import main
from training.faithfulness import elsewhere


@given(st.lists(st.integers(1, 5), max_size=6), st.integers(0, 20), st.integers())
def test_random_pieces_keep_the_lengths_stay_inside_and_do_not_overlap(
    lengths: list[int], spare: int, seed: int
) -> None:
    size = sum(lengths) + spare
    pieces = elsewhere(size, lengths, random.Random(seed))
    assert sorted(end - start for start, end in pieces) == sorted(lengths)
    bounds = [bound for piece in pieces for bound in piece]
    assert bounds == sorted(bounds)
    assert all(0 <= bound <= size for bound in bounds)


def test_the_verb_prints_what_the_evidence_is_worth(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the tiny model one character carries a tag: without it the probability falls from 0.953 to 0.018."""
    rows = [
        {"id": str(i), "doc": str(i % 2), "text": text, "instruments": [], "industries": []}
        for i, text in enumerate(["对符合条件的企业给予补贴" + "的" * 40, "特此通知"])
    ]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert main(["faithfulness", "--data", str(data), "--model", str(tiny_model)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1 tags of 1 paragraphs\n")
    assert "evidence is deleted       0.935" in out
    assert "fall below their threshold                100.0%" in out


def test_paragraphs_that_get_no_tags_cannot_be_measured(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text('{"id": "a", "doc": "a", "text": "特此通知", "instruments": [], "industries": []}\n')
    assert main(["faithfulness", "--data", str(data), "--model", str(tiny_model)]) == 1
    assert "expected some that it tags" in capsys.readouterr().err
