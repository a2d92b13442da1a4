"""The model folder: every stored form of the network gives the same numbers, and none is written that does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, pipeline

from policytag import artifact
from policytag.calibration import sigmoid
from policytag.encoding import Encoder
from policytag.engine import Engine
from policytag.errors import InputError
from policytag.tagger import Tagger
from policytag.text import Paragraph, normalise
from training import export, finetune
from training.export import ExportError

TEXTS = ["对符合条件的企业给予一次性补贴。", "引进和培养高层次人才。" * 12, "建设公共技术服务平台。", "本条。"]


def start_of(folder: Path) -> finetune.Start:
    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager")
    recipe = artifact.load(folder).manifest.recipe
    return finetune.Start(model.eval(), Encoder(folder / "tokenizer.json", recipe), folder)


def test_the_folder_loads_in_serving_and_tags(fitted: Path):
    tagger = Tagger.load(fitted, threads=1)
    [prediction] = tagger.tag([Paragraph("a", "d", 0, TEXTS[0])])
    assert len(prediction.scores) == len(tagger.taxonomy)
    assert not prediction.truncated


def test_torch_and_onnx_runtime_agree(fitted: Path):
    assert export.check_parity(start_of(fitted), fitted / "model.onnx", TEXTS) <= 1e-4


def test_windows_of_a_long_text_are_pooled_in_both(fitted: Path):
    start = start_of(fitted)
    windows, owners, _ = start.encoder.windows(TEXTS)
    assert owners.tolist() == [0, 1, 1, 1, 2, 3]
    rows = Engine(fitted / "model.onnx").logits(windows)
    expected = [rows[0], rows[1:4].max(axis=0), rows[4], rows[5]]
    assert finetune.predict(start, TEXTS) == pytest.approx(np.array(expected), abs=1e-4)


def test_the_transformers_pipeline_gives_the_probabilities_before_calibration(fitted: Path):
    texts = [normalise(TEXTS[0]), normalise(TEXTS[2])]
    classify = pipeline("text-classification", model=str(fitted), top_k=None, function_to_apply="sigmoid", device="cpu")
    tagger = Tagger.load(fitted, threads=1, engine="fp32")
    expected = sigmoid(tagger.logits(texts)[0])
    answers: Any = classify(texts)
    for row, scores in zip(expected, answers, strict=True):
        by_label = {entry["label"]: entry["score"] for entry in scores}
        assert [by_label[label] for label in tagger.taxonomy.ids] == pytest.approx(row.tolist(), abs=1e-4)


def test_weights_are_float16_on_disk_and_float32_in_transformers(fitted: Path):
    stored = load_file(fitted / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    model = AutoModelForSequenceClassification.from_pretrained(fitted)
    assert model.dtype == torch.float32
    assert torch.equal(model.classifier.weight, stored["classifier.weight"].float())


def test_the_float32_graph_holds_no_weights_of_its_own(fitted: Path):
    assert (fitted / "model.onnx").stat().st_size < 64_000
    graph = onnx.load(fitted / "model.onnx", load_external_data=False).graph
    own = [i for i in graph.initializer if i.data_location != onnx.TensorProto.EXTERNAL]
    assert all(np.prod(i.dims) <= 2 for i in own)
    assert {e.value for i in graph.initializer for e in i.external_data if e.key == "location"} == {"model.safetensors"}


def test_a_graph_of_another_network_is_refused(fitted: Path):
    start = start_of(fitted)
    with torch.no_grad():
        start.model.classifier.bias.add_(0.01)
    with pytest.raises(ExportError, match=r"model\.onnx: logits differ by 0\.01"):
        export.check_parity(start, fitted / "model.onnx", TEXTS)


def test_golden_texts_are_recorded_for_every_label(fitted: Path):
    golden = json.loads((fitted / "golden.json").read_text(encoding="utf-8"))["texts"]
    assert [entry["text"] for entry in golden] == list(export.GOLDEN_TEXTS)
    assert {len(entry["logits"]) for entry in golden} == {18}
    assert {len(entry["logits_int8"]) for entry in golden} == {18}


def test_a_block_that_fails_leaves_the_old_folder_alone(tmp_path: Path):
    out = tmp_path / "model"
    out.mkdir()
    (out / artifact.MANIFEST).write_text("old", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), export.new_folder(out):
        _ = 1 / 0
    assert (out / artifact.MANIFEST).read_text(encoding="utf-8") == "old"
    with export.new_folder(out) as folder:
        (folder / artifact.MANIFEST).write_text("new", encoding="utf-8")
    assert (out / artifact.MANIFEST).read_text(encoding="utf-8") == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_was_killed_while_the_folders_changed_places_is_put_back(tmp_path: Path):
    old = tmp_path / ".model.old"
    old.mkdir()
    (old / artifact.MANIFEST).write_text("old", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), export.new_folder(tmp_path / "model"):
        _ = 1 / 0
    assert (tmp_path / "model" / artifact.MANIFEST).read_text(encoding="utf-8") == "old"


def test_the_working_directory_may_become_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path / "model")
    with export.new_folder(Path()) as folder:
        (folder / artifact.MANIFEST).write_text("new", encoding="utf-8")
    assert (tmp_path / "model" / artifact.MANIFEST).read_text(encoding="utf-8") == "new"


def test_a_folder_that_is_no_model_is_not_replaced(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="exists and is no model folder"):
        export.check_target(tmp_path)
