"""Drift: hand-computed indices, and runs of the batch command against a model's reference and each other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from serving.cli import main as policytag
from training import drift
from training.cli import main

TEXTS = ["对企业给予补贴。", "引进人才。", "附则", "软件产业"]


def test_the_index_is_the_one_computed_by_hand():
    assert drift.psi([3, 1], [1, 1]) == pytest.approx(0.25 * np.log(3))
    assert drift.psi([5, 5], [1, 1]) == 0
    assert np.isfinite(drift.psi([1, 0], [0, 1]))


def tagged(texts: list[str], model: Path, folder: Path, *options: str) -> Path:
    folder.mkdir()
    (folder / "in.jsonl").write_text(
        "".join(json.dumps({"id": f"{i}", "text": text}) + "\n" for i, text in enumerate(texts)), encoding="utf-8"
    )
    out = folder / "tags.jsonl"
    assert policytag(["tag", str(folder / "in.jsonl"), "-o", str(out), "--model", str(model), *options]) == 0
    return out


def test_a_run_like_the_reference_has_not_moved_and_another_has(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    reference = tagged(TEXTS * 60, tiny_model, tmp_path / "a", "--scores")
    same = tagged(TEXTS[::-1] * 60, tiny_model, tmp_path / "b", "--scores")
    other = tagged(["对企业给予补贴。"] * 200 + ["附则"] * 40, tiny_model, tmp_path / "c", "--scores")
    command = ["drift", "--model", str(tiny_model), "--reference", str(reference), "--fail-on-drift"]
    capsys.readouterr()
    assert main([*command, str(same)]) == 0
    assert "nothing has changed to speak of" in capsys.readouterr().out
    assert main([*command, str(other), "--report", str(tmp_path / "drift.json")]) == 3
    assert "moved: subsidy, talent, information_technology; read fifty" in capsys.readouterr().out
    figures = json.loads((tmp_path / "drift.json").read_text(encoding="utf-8"))
    assert figures["labels"]["subsidy"]["rate"] == pytest.approx(200 / 240, abs=1e-4)
    assert figures["labels"]["agriculture"]["psi"] == 0


def test_unknown_tokens_are_counted_and_few_paragraphs_said(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    known = tagged(["补才"] * 4, tiny_model, tmp_path / "a", "--scores")  # the tiny tokenizer knows eighteen characters
    run = tagged(TEXTS, tiny_model, tmp_path / "b", "--scores")
    assert main(["drift", str(run), "--model", str(tiny_model), "--reference", str(known)]) == 0
    out = capsys.readouterr().out
    assert "4 paragraphs are few" in out
    assert "many unknown tokens" in out


def test_a_run_without_scores_or_of_another_model_is_refused(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = tagged(TEXTS, tiny_model, tmp_path / "a")
    assert main(["drift", str(run), "--model", str(tiny_model), "--reference", str(run)]) == 1
    assert "tag with --scores" in capsys.readouterr().err
    scored = tagged(TEXTS, tiny_model, tmp_path / "b", "--scores")
    scored.write_text(scored.read_text(encoding="utf-8").replace('"model": "', '"model": "x'), encoding="utf-8")
    assert main(["drift", str(scored), "--model", str(tiny_model), "--reference", str(scored)]) == 1
    assert "tagged by model x" in capsys.readouterr().err


def test_a_model_without_a_reference_asks_for_one(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = tagged(TEXTS, tiny_model, tmp_path / "a", "--scores")
    assert main(["drift", str(run), "--model", str(tiny_model)]) == 1
    assert "give --reference" in capsys.readouterr().err


def test_fit_writes_the_reference(fitted: Path):
    reference = drift.of_model(fitted)
    figures = json.loads((fitted / "metrics.json").read_text(encoding="utf-8"))
    assert reference["paragraphs"] == figures["data"]["calibration"]["paragraphs"]
    assert sum(reference["lengths"]) == sum(reference["scores"]["subsidy"]) == reference["paragraphs"]
    assert reference["unknown"] == 0
