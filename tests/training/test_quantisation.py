"""The 8-bit form: its gate, its independence of neighbours, and the verb that makes it for a model that exists."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from policytag import artifact
from policytag.calibration import Calibration
from policytag.encoding import Encoder
from policytag.engine import Engine
from policytag.tagger import Tagger
from training import graph
from training.cli import main
from training.quantisation import Comparison, Judge, QuantisationError, activation_ranges, write_int8

TEXTS = ["对符合条件的企业给予一次性补贴。", "引进和培养高层次人才。" * 4, "建设公共技术服务平台。", "本条。"]


def encoder_of(folder: Path) -> Encoder:
    return Encoder(folder / "tokenizer.json", artifact.load(folder).manifest.recipe)


def test_the_comparison_counts_decisions_and_macro_f1() -> None:
    gold = np.array([[True, False], [True, True], [False, False], [False, False]])
    judge = Judge(["a", "b", "c", "d"], gold, Calibration(1.0, (0.5, 0.5)))
    exact = np.where(gold, 1.0, -1.0).astype(np.float32)
    rounded = exact.copy()
    rounded[0, 0] = -0.1  # one of two positives of the first label is lost: F1 1 -> 2/3
    comparison = judge.compare(exact, rounded)
    assert (comparison.paragraphs, comparison.equal) == (4, 7 / 8)
    assert comparison.f1_loss == pytest.approx(1 / 6)


@pytest.mark.parametrize(("loss", "equal"), [(0.0031, 1.0), (0.0, 0.9949), (float("nan"), 1.0)])
def test_the_gate_refuses_what_loses_too_much(loss: float, equal: float) -> None:
    with pytest.raises(QuantisationError, match=r"model\.int8\.onnx: on 100 paragraphs macro-F1 falls by"):
        Comparison(100, loss, equal).check()


def test_the_gate_passes_at_its_limits() -> None:
    Comparison(100, 0.003, 0.995).check()
    Comparison(100, -0.1, 1.0).check()


def test_a_refused_form_leaves_no_file(fitted: Path, tmp_path: Path) -> None:
    for name in ("model.safetensors", "config.json"):
        (tmp_path / name).write_bytes((fitted / name).read_bytes())
    graph.write(tmp_path, "model.onnx")
    # Thresholds at the very logits of float32: about every second decision falls the other way.
    encoder = encoder_of(fitted)
    windows = encoder.windows(TEXTS)[0]
    exact = Engine(tmp_path / "model.onnx").logits(windows)
    thresholds = tuple(float(x) for x in 1 / (1 + np.exp(-exact[0].astype(np.float64))))
    judge = Judge([TEXTS[0]], np.ones((1, 18), dtype=np.bool_), Calibration(1.0, thresholds))
    with pytest.raises(QuantisationError):
        write_int8(tmp_path, encoder, TEXTS, judge)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.onnx", "model.safetensors"]


def test_ranges_are_those_of_the_texts_and_every_activation_has_one(fitted: Path) -> None:
    before = sorted(fitted.iterdir())
    few, many = (activation_ranges(fitted, encoder_of(fitted), texts) for texts in (TEXTS[:1], TEXTS))
    assert sorted(fitted.iterdir()) == before
    assert len(few) == 2 * 4  # two layers: the input, what was attended to, after attention, the wide part
    for name, (low, high) in few.items():
        assert many[name][0] <= low <= high <= many[name][1]
        assert low < high


@pytest.mark.parametrize("form", ["fp32", "int8"])
def test_a_paragraph_gets_the_same_scores_alone_and_in_any_batch(fitted: Path, form: str) -> None:
    tagger = Tagger.load(fitted, threads=2, engine=form)
    texts = [text[: 3 + number % 9] for number, text in enumerate(TEXTS * 20)]
    alone = np.concatenate([tagger.logits([text])[0] for text in texts])
    np.testing.assert_array_equal(tagger.logits(texts)[0], alone)
    np.testing.assert_array_equal(tagger.logits(texts[::-1])[0][::-1], alone)


def test_fit_writes_the_8_bit_form_and_says_how_it_fared(fitted: Path) -> None:
    report = json.loads((fitted / "metrics.json").read_text(encoding="utf-8"))
    assert report["int8"]["equal"] >= 0.995
    assert artifact.load(fitted).manifest.metrics["int8_equal"] == report["int8"]["equal"]
    assert "In the 8-bit form" in (fitted / "README.md").read_text(encoding="utf-8")
    assert Tagger.load(fitted).form == "int8"


def test_export_makes_the_graphs_of_a_model_anew(
    fitted: Path, rows_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["--model", str(fitted), "--calibrate-on", str(rows_file), "--out", str(out)]
    assert main(["quantise", *arguments]) == 0
    assert "int8 against fp32 on 60 paragraphs" in capsys.readouterr().out
    old, new = Tagger.load(fitted, engine="fp32"), Tagger.load(out, engine="fp32")
    np.testing.assert_array_equal(new.logits(TEXTS)[0], old.logits(TEXTS)[0])
    assert new.artifact.calibration == old.artifact.calibration
    assert new.artifact.manifest.data == old.artifact.manifest.data
    assert Tagger.load(out).form == "int8"


def test_export_may_replace_the_model_it_reads(fitted: Path, rows_file: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    arguments = ["--calibrate-on", str(rows_file), "--out", str(model)]
    assert main(["quantise", "--model", str(fitted), *arguments]) == 0
    before = artifact.load(model).manifest
    assert main(["quantise", "--model", str(model), *arguments]) == 0
    assert artifact.load(model).manifest.files == before.files


def test_export_refuses_a_damaged_model_and_writes_nothing(
    tiny_model: Path, rows_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["quantise", "--model", str(tmp_path), "--calibrate-on", str(rows_file), "--out", str(out)]) == 1
    assert "manifest.json: missing" in capsys.readouterr().err
    assert not out.exists()
