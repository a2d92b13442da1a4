"""Gates: which model is let through, which is held back and with what words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from policytag import artifact
from policytag.errors import ArtifactError
from training import gates, promote
from training.cli import main
from training.config import ConfigError
from training.gates import Limits
from training.promote import GateError
from training.versions import Versions

LENIENT = Limits(max_drop=1.0, min_support=1000, max_slowdown=100.0, resamples=50)
Rows = list[dict[str, Any]]


@pytest.fixture
def test_file(tmp_path: Path, authored_rows: Rows, write_rows: Callable[[Path, Rows], Path]) -> Path:
    """Thirty rows of five documents under other names."""
    rows = [row | {"id": f"x{row['id']}", "doc": f"x{row['doc']}"} for row in authored_rows if row["doc"] < "d5"]
    return write_rows(tmp_path / "frozen.jsonl", rows)


@pytest.fixture
def store(fitted: Path, tmp_path: Path) -> Versions:
    shutil.copytree(fitted, tmp_path / "models" / "current")
    return Versions(tmp_path / "models")


def resealed(model: Path, folder: Path, change: Callable[[Path], object]) -> Path:
    """A copy of a model with something changed and sealed anew, as a faulty training would have made it."""
    shutil.copytree(model, folder)
    change(folder)
    m = artifact.load(model).manifest
    artifact.seal(
        folder, taxonomy=m.taxonomy, encoder=m.encoder, data=m.data, recipe=m.recipe, metrics=m.metrics, versions={}
    )
    return folder


def mute(folder: Path) -> None:
    """Lets no label be assigned."""
    path = folder / "calibration.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    data |= {"temperature": 100.0, "thresholds": dict.fromkeys(data["thresholds"], 1.0)}
    path.write_text(json.dumps(data), encoding="utf-8")


def test_a_model_as_good_passes_and_the_history_has_every_gate(
    fitted: Path, store: Versions, test_file: Path, tmp_path: Path
):
    candidate = resealed(fitted, tmp_path / "candidate", lambda folder: None)
    entry, results = promote.promote(candidate, store, [test_file], "retrained", LENIENT)
    assert all(gate.passed for gate in results)
    assert set(entry.gates) == {"golden texts", "test unseen", "label floors", "parity", "no worse", "latency"}
    assert store.current_version() == entry.version == artifact.load(candidate).manifest.version
    assert not entry.forced


def test_a_model_that_is_worse_is_held_back_and_nothing_changes(
    fitted: Path, store: Versions, test_file: Path, tmp_path: Path
):
    before = store.current_version()
    candidate = resealed(fitted, tmp_path / "candidate", mute)
    with pytest.raises(GateError, match="no worse: macro-F1 -1") as caught:
        promote.promote(candidate, store, [test_file], "retrained", Limits(min_support=5, max_slowdown=100.0))
    assert "label floors: " in str(caught.value)
    assert str(caught.value).splitlines()[-1] == "not promoted: 2 of 6 gates failed"
    assert store.current_version() == before
    assert store.history() == []


def test_force_overrules_a_gate_and_is_remembered(fitted: Path, store: Versions, test_file: Path, tmp_path: Path):
    candidate = resealed(fitted, tmp_path / "candidate", mute)
    entry, _ = promote.promote(candidate, store, [test_file], "we must", Limits(max_slowdown=100.0), force=True)
    assert entry.forced
    assert store.history()[-1].forced


def test_a_network_that_is_not_the_graph_fails_parity(fitted: Path, store: Versions, test_file: Path, tmp_path: Path):
    def other_graph(folder: Path) -> None:
        model = onnx.load(folder / "model.onnx", load_external_data=False)
        model.graph.node[-1].output[0] = "right"
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(1, dtype=np.float32), "wrong"))
        model.graph.node.append(onnx.helper.make_node("Add", ["right", "wrong"], ["logits"]))
        onnx.save(model, folder / "model.onnx")
        data = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
        for entry in data["texts"]:
            entry["logits"] = [value + 1 for value in entry["logits"]]
        (folder / "golden.json").write_text(json.dumps(data), encoding="utf-8")

    candidate = resealed(fitted, tmp_path / "candidate", other_graph)
    with pytest.raises(GateError, match=r"parity: model\.onnx: logits differ by 1"):
        promote.promote(candidate, store, [test_file], "x", LENIENT)


def test_even_force_does_not_let_a_model_through_that_forgot_its_golden_texts(
    fitted: Path, store: Versions, test_file: Path, tmp_path: Path
):
    def other_answers(folder: Path) -> None:
        path = folder / "golden.json"
        data = json.loads(path.read_text(encoding="utf-8"))
        data["texts"][0]["logits"][0] += 1
        path.write_text(json.dumps(data), encoding="utf-8")

    candidate = resealed(fitted, tmp_path / "candidate", other_answers)
    with pytest.raises(GateError, match=r"golden texts: .*text 0 gives logits"):
        promote.promote(candidate, store, [test_file], "x", LENIENT, force=True)


def test_a_test_the_model_learnt_from_proves_nothing(fitted: Path, store: Versions, rows_file: Path, tmp_path: Path):
    candidate = resealed(fitted, tmp_path / "candidate", lambda folder: None)
    with pytest.raises(GateError, match=r"test unseen: the model learnt from .*rows\.jsonl"):
        promote.promote(candidate, store, [rows_file], "x", LENIENT)


def test_a_slow_model_is_held_back(fitted: Path, store: Versions, test_file: Path, tmp_path: Path):
    candidate = resealed(fitted, tmp_path / "candidate", lambda folder: None)
    with pytest.raises(GateError, match=r"latency: .* ms a paragraph"):
        promote.promote(candidate, store, [test_file], "x", Limits(max_drop=1.0, min_support=1000, max_slowdown=0.01))


def test_a_damaged_candidate_is_named(fitted: Path, store: Versions, test_file: Path, tmp_path: Path):
    shutil.copytree(fitted, tmp_path / "candidate")
    (tmp_path / "candidate" / "model.onnx").write_bytes(b"rotten")
    with pytest.raises(ArtifactError, match=r"model\.onnx: changed"):
        promote.promote(tmp_path / "candidate", store, [test_file], "x", LENIENT)


def test_the_command_promotes_and_rolls_back(
    fitted: Path, store: Versions, test_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    candidate = resealed(fitted, tmp_path / "candidate", lambda folder: None)
    limits = tmp_path / "gates.toml"
    limits.write_text("max_slowdown = 100\nmin_support = 1000\n", encoding="utf-8")
    before = store.current_version()
    place = ["--models", str(store.folder), "--reason", "more labels"]
    assert main(["promote", str(candidate), *place, "--test", str(test_file), "--gates", str(limits)]) == 0
    assert f"before {before}" in capsys.readouterr().out
    assert main(["rollback", *place]) == 0
    assert store.current_version() == before


@pytest.mark.parametrize("text", ["floor = 1", "label_floor = 'a'", "max_drop = -1", "= 3"])
def test_limits_that_do_not_exist_are_named(tmp_path: Path, text: str):
    (tmp_path / "gates.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"gates\.toml"):
        gates.load_limits(tmp_path / "gates.toml")
