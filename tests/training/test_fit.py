"""Fitting end to end on sixty rows, and what goes wrong before, during and after it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from policytag.taxonomy import Taxonomy
from training import annotations, config, finetune, fit
from training.annotations import target_matrix
from training.cli import main
from training.config import Config, ConfigError
from training.finetune import TrainingError

Rows = list[dict[str, Any]]
Writer = Callable[[Path, Rows], Path]


@pytest.fixture(scope="module")
def brief(settings_file: Path) -> Config:
    return config.load(settings_file, epochs=1)


def weights_after_training(
    encoder: Path, rows: Path, taxonomy: Taxonomy, settings: Config, scratch: Path
) -> torch.Tensor:
    scratch.mkdir()
    start = finetune.prepare(str(encoder), taxonomy, settings, scratch)
    data = annotations.read([rows], taxonomy)
    finetune.train(start, [row.text for row in data], target_matrix(data), settings)
    return start.model.classifier.weight.detach().clone()


def test_the_model_learns_sixty_plain_rows(fitted: Path):
    figures = json.loads((fitted / "metrics.json").read_text(encoding="utf-8"))
    assert figures["model"]["groups"]["all"]["micro_f1"] > 0.8
    assert figures["evaluated_on"] == figures["calibrated_on"] == "held-out"
    assert figures["data"]["train"]["paragraphs"] + figures["data"]["evaluation"]["paragraphs"] == 60


def test_the_settings_travel_with_the_model(fitted: Path, settings_file: Path):
    assert config.load(fitted / "training.toml") == config.load(settings_file, seed=3)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    tiny_encoder: Path, rows_file: Path, taxonomy: Taxonomy, settings_file: Path, tmp_path: Path
):
    first, again, other = (
        weights_after_training(
            tiny_encoder, rows_file, taxonomy, config.load(settings_file, epochs=1, seed=s), tmp_path / n
        )
        for s, n in ((1, "a"), (1, "b"), (2, "c"))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_training_computes_in_bfloat16_and_prediction_in_float32(
    tiny_encoder: Path, rows_file: Path, taxonomy: Taxonomy, brief: Config, tmp_path: Path
):
    start = finetune.prepare(str(tiny_encoder), taxonomy, brief, tmp_path)
    seen: list[tuple[bool, torch.dtype]] = []
    start.model.get_submodule("bert.encoder.layer.0.output.dense").register_forward_hook(
        lambda module, inputs, output: seen.append((module.training, output.dtype))
    )
    data = annotations.read([rows_file], taxonomy)[:8]
    finetune.train(start, [row.text for row in data], target_matrix(data), brief)
    finetune.predict(start, ["给予补贴。"])
    assert set(seen) == {(True, torch.bfloat16), (False, torch.float32)}


def test_positive_weights_by_hand():
    targets = np.zeros((100, 3), dtype=np.float32)
    targets[:4, 0] = 1  # sqrt(96 / 4)
    targets[:80, 1] = 1  # sqrt(20 / 80) is below 1
    assert finetune.positive_weights(targets, 1, 8).tolist() == pytest.approx([np.sqrt(24), 1, 8])


def test_soft_targets_pull_towards_their_probability():
    loss = finetune._Loss(np.ones(1, dtype=np.float32))
    value = loss({"logits": torch.zeros(1, 1)}, torch.tensor([[0.3]]))
    assert value.item() == pytest.approx(np.log(2))


def test_a_classifier_with_the_same_labels_keeps_its_head(
    fitted: Path, taxonomy: Taxonomy, brief: Config, tmp_path: Path
):
    start = finetune.prepare(str(fitted), taxonomy, brief, tmp_path)
    assert torch.equal(
        start.model.classifier.weight, load_file(fitted / "model.safetensors")["classifier.weight"].float()
    )


def test_a_classifier_with_other_labels_gets_a_new_head(
    fitted: Path, taxonomy: Taxonomy, brief: Config, tmp_path: Path
):
    turned = Taxonomy("2", taxonomy.labels[::-1])
    start = finetune.prepare(str(fitted), turned, brief, tmp_path)
    assert start.model.config.id2label == dict(enumerate(turned.ids))
    assert start.model.classifier.weight.std().item() == pytest.approx(0.1, abs=0.02)


def test_weights_that_are_not_numbers_stop_the_training(
    tiny_encoder: Path, rows_file: Path, taxonomy: Taxonomy, brief: Config, tmp_path: Path
):
    broken = tmp_path / "broken"
    shutil.copytree(tiny_encoder, broken)
    tensors = load_file(broken / "model.safetensors")
    tensors["encoder.layer.0.output.dense.weight"][0, 0] = float("nan")
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingError, match="the loss became nan"):
        weights_after_training(broken, rows_file, taxonomy, brief, tmp_path / "scratch")


def test_an_encoder_without_some_layer_is_refused(
    tiny_encoder: Path, taxonomy: Taxonomy, brief: Config, tmp_path: Path
):
    broken = tmp_path / "broken"
    shutil.copytree(tiny_encoder, broken)
    tensors = load_file(broken / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "scratch").mkdir()
    with pytest.raises(TrainingError, match=r"layer\.1\.output\.dense\.weight missing"):
        finetune.prepare(str(broken), taxonomy, brief, tmp_path / "scratch")


def test_a_tokenizer_that_knows_nothing_is_refused(
    tiny_encoder: Path, taxonomy: Taxonomy, brief: Config, tmp_path: Path
):
    start = finetune.prepare(str(tiny_encoder), taxonomy, brief, tmp_path)
    assert finetune.check_unknown(start.encoder, ["给予补贴。"]) == 0
    with pytest.raises(TrainingError, match=r"100% of the tokens are \[UNK\]"):
        finetune.check_unknown(start.encoder, ["ऄअआइई"])


def test_windows_longer_than_the_encoder_reads_are_refused(tiny_encoder: Path, taxonomy: Taxonomy, tmp_path: Path):
    with pytest.raises(TrainingError, match="set max_tokens = 64"):
        finetune.prepare(str(tiny_encoder), taxonomy, config.load(), tmp_path)


def test_documents_on_both_sides_are_refused(
    rows_file: Path,
    tiny_encoder: Path,
    labels_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    authored_rows: Rows,
    write_rows: Writer,
):
    dev = write_rows(tmp_path / "dev.jsonl", [row | {"id": f"dev-{row['id']}"} for row in authored_rows[:3]])
    arguments = ["fit", "--annotations", str(rows_file), "--dev", str(dev), "--encoder", str(tiny_encoder)]
    assert main([*arguments, "--labels", str(labels_folder), "--out", str(tmp_path / "out")]) == 1
    assert "document 'd0' is in --annotations and --dev" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_figures_on_dev_leave_calibration_to_held_out_documents(
    rows_file: Path,
    tiny_encoder: Path,
    labels_folder: Path,
    taxonomy: Taxonomy,
    brief: Config,
    tmp_path: Path,
    authored_rows: Rows,
    write_rows: Writer,
):
    dev = write_rows(tmp_path / "dev.jsonl", [r | {"id": f"x{r['id']}", "doc": "x"} for r in authored_rows[:6]])
    request = fit.Request((rows_file,), (dev,), str(tiny_encoder), labels_folder, tmp_path / "out", ("d9",))
    data = fit.read_data(request, taxonomy, brief)
    assert (data.calibrated_on, data.evaluated_on) == ("held-out", "dev")
    docs = [set(annotations.documents(rows)) for rows in (data.train, data.calibration, data.dev)]
    assert docs[0] | docs[1] == {f"d{i}" for i in range(9)}
    assert not docs[0] & docs[1]
    assert docs[2] == {"x"}


def test_out_of_fold_logits_replace_the_held_out_split(
    rows_file: Path,
    tiny_encoder: Path,
    labels_folder: Path,
    taxonomy: Taxonomy,
    brief: Config,
    tmp_path: Path,
    authored_rows: Rows,
    write_rows: Writer,
):
    dev = write_rows(tmp_path / "dev.jsonl", [r | {"id": f"x{r['id']}", "doc": "x"} for r in authored_rows[:6]])
    rows = annotations.read([rows_file], taxonomy)[:5]
    fit.write_logits(tmp_path / "oof.jsonl", rows, np.ones((5, 18), dtype=np.float32), taxonomy)
    request = fit.Request(
        (rows_file,), (dev,), str(tiny_encoder), labels_folder, tmp_path / "out", out_of_fold=tmp_path / "oof.jsonl"
    )
    data = fit.read_data(request, taxonomy, brief)
    assert (len(data.train), len(data.calibration), data.calibrated_on) == (60, 5, "out-of-fold")


def test_calibrating_on_dev_leaves_all_rows_to_learn_from(
    rows_file: Path,
    tiny_encoder: Path,
    labels_folder: Path,
    taxonomy: Taxonomy,
    brief: Config,
    tmp_path: Path,
    authored_rows: Rows,
    write_rows: Writer,
):
    dev = write_rows(tmp_path / "dev.jsonl", [r | {"id": f"x{r['id']}", "doc": "x"} for r in authored_rows[:6]])
    request = fit.Request((rows_file,), (dev,), str(tiny_encoder), labels_folder, tmp_path / "out", calibrate_on="dev")
    data = fit.read_data(request, taxonomy, brief)
    assert (len(data.train), data.calibration, data.calibrated_on) == (60, data.dev, "dev")


def test_bad_rows_fail_with_one_line_each_and_nothing_is_written(
    tiny_encoder: Path,
    labels_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    authored_rows: Rows,
    write_rows: Writer,
):
    rows = [row | {"instruments": ["tax"]} for row in authored_rows[:2]]
    path = write_rows(tmp_path / "bad.jsonl", rows)
    arguments = ["fit", "--annotations", str(path), "--encoder", str(tiny_encoder), "--labels", str(labels_folder)]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "bad.jsonl" in line]
    assert [line.removeprefix(str(path))[:3] for line in lines] == [":1:", ":2:"]


def test_an_encoder_that_is_nowhere_is_one_line(
    rows_file: Path, labels_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = ["fit", "--annotations", str(rows_file), "--encoder", str(tmp_path), "--labels", str(labels_folder)]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 1
    assert str(tmp_path) in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("name", ["./encodr", "/no/encoder"])
def test_a_misspelt_folder_is_not_looked_for_on_the_hub(taxonomy: Taxonomy, brief: Config, tmp_path: Path, name: str):
    with pytest.raises(TrainingError, match=f"{name}: no such folder"):
        finetune.prepare(name, taxonomy, brief, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "unknown setting 'epoch'"),
        ("epochs = true", "expected float"),
        ('batch_size = "32"', "expected int"),
        ("batch_size = 0", "expected 1 to 4096"),
        ('precision = "fp8"', "expected one of bf16, fp32"),
        ("threshold_min = 0.9", "is above its"),
        ("overlap = 511", "expected less than max_tokens - 2"),
        ("epochs = = 3", "not TOML"),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, text: str, message: str):
    (tmp_path / "bad.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        config.load(tmp_path / "bad.toml")


def test_leave_one_out_tags_each_document_with_a_model_that_did_not_see_it(
    rows_file: Path,
    tiny_encoder: Path,
    labels_folder: Path,
    settings_file: Path,
    tmp_path: Path,
    authored_rows: Rows,
    write_rows: Writer,
):
    tests = write_rows(tmp_path / "tests.jsonl", [row for row in authored_rows if row["doc"] in ("d0", "d1")])
    arguments = ["leave-one-out", "--annotations", str(rows_file), "--test", str(tests), "--encoder", str(tiny_encoder)]
    arguments += ["--labels", str(labels_folder), "--config", str(settings_file), "--report", str(tmp_path / "r.json")]
    assert main([*arguments, "--write", str(tmp_path / "page" / "r.md")]) == 0
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert {doc: f["paragraphs"] for doc, f in report["documents"].items()} == {"d0": 6, "d1": 6}
    assert report["model"]["groups"]["all"]["micro_f1"] > 0.6
    assert all(row["missing"] or row["extra"] for row in report["wrong"])
    assert "Leave one document out" in (tmp_path / "page" / "r.md").read_text(encoding="utf-8")


def test_help_needs_no_torch():
    code = "import sys; sys.argv = ['policytag-train', '--help']\nfrom training.cli import main\ntry:\n    main()\n"
    code += "finally:\n    assert not {'torch', 'transformers', 'sklearn'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(verb in done.stdout for verb in ("fit", "leave-one-out", "pretrain"))
