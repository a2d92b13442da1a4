"""The graph says what torch's network says, for any BERT; its 8-bit form nearly so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from transformers import BertConfig, BertForSequenceClassification

from policytag.engine import Engine
from training import graph
from training.graph import GraphError

WINDOWS = [[2, *range(5, 5 + length), 3] for length in (1, 7, 7, 30, 62)]


def save(folder: Path, dtype: torch.dtype = torch.float16, **changes: Any) -> BertForSequenceClassification:
    """A random classifier of two layers in a folder, and itself with the numbers that are stored."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "vocab_size": 80, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
        "max_position_embeddings": 64, "num_labels": 3, "initializer_range": 0.3, **changes,
    }  # fmt: skip
    model = BertForSequenceClassification(BertConfig(**settings)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # biases and norms too: nothing may be 0 or 1 by chance
        parameter.data = parameter.data.to(dtype).float()
    save_file({name: tensor.to(dtype) for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(model.config.to_json_string(use_diff=False), encoding="utf-8")
    return model


def torch_logits(model: BertForSequenceClassification) -> NDArray[np.float32]:
    with torch.inference_mode():
        return np.concatenate([model(input_ids=torch.tensor([window])).logits.numpy() for window in WINDOWS])


@pytest.mark.parametrize(
    "changes",
    [{}, {"hidden_act": "relu"}, {"hidden_act": "gelu_new"}, {"num_hidden_layers": 1}, {"num_attention_heads": 1}],
)
def test_the_float32_graph_gives_torchs_logits(tmp_path: Path, changes: dict[str, Any]) -> None:
    model = save(tmp_path, **changes)
    got = Engine(graph.write(tmp_path, "model.onnx")).logits(WINDOWS)
    np.testing.assert_allclose(got, torch_logits(model), atol=1e-4)


def test_weights_stored_as_float32_do_as_well(tmp_path: Path) -> None:
    model = save(tmp_path, torch.float32)
    got = Engine(graph.write(tmp_path, "model.onnx")).logits(WINDOWS)
    np.testing.assert_allclose(got, torch_logits(model), atol=1e-4)


def test_a_padded_batch_gives_what_its_windows_give_alone(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = save(tmp_path)
    session = onnxruntime.InferenceSession(str(graph.write(tmp_path, "model.onnx")))
    ids = np.zeros((len(WINDOWS), 64), dtype=np.int64)
    for row, window in zip(ids, WINDOWS, strict=True):
        row[: len(window)] = window
    mask = (np.arange(64) < np.array([len(window) for window in WINDOWS])[:, None]).astype(np.int64)
    [got] = session.run(None, {"input_ids": ids, "attention_mask": mask})
    np.testing.assert_allclose(got, torch_logits(model), atol=1e-4)


def test_an_activation_that_is_not_known_is_refused(tmp_path: Path) -> None:
    save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "hidden_act": "silu"}))
    with pytest.raises(GraphError, match="hidden_act silu; expected one of gelu"):
        graph.write(tmp_path, "model.onnx")


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    model = save(tmp_path)
    tensors = {name: t.half() for name, t in model.state_dict().items() if name != "classifier.bias"}
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(GraphError, match=r"model\.safetensors: classifier\.bias is missing"):
        graph.write(tmp_path, "model.onnx")


def test_a_tensor_of_another_type_is_named(tmp_path: Path) -> None:
    save(tmp_path, torch.bfloat16)
    with pytest.raises(GraphError, match=r"is stored as BF16; expected a BertForSequenceClassification in F16 or F32"):
        graph.write(tmp_path, "model.onnx")


def test_the_scale_of_a_range_has_zero_among_its_values() -> None:
    scale, zero = graph.scale_of(-1.0, 1.55)
    assert (float(scale), int(zero)) == (pytest.approx(0.01), 100)
    assert graph.scale_of(0.5, 2.55) == (np.float32(0.01), 0)
    assert graph.scale_of(-2.55, -1.0) == (np.float32(0.01), 255)
    assert graph.scale_of(0.0, 0.0) == (1.0, 0)


def test_weights_get_a_scale_for_each_output() -> None:
    weights, scales = graph.quantise(np.array([[1.27, -0.635], [0.0, 0.0], [-254.0, 2.0]], dtype=np.float32))
    assert weights.tolist() == [[127, -64], [0, 0], [-127, 1]]
    assert scales.tolist() == pytest.approx([0.01, 1.0, 2.0])
