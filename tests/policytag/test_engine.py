from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policytag.engine import Engine, batches
from policytag.errors import ArtifactError


def test_batches_group_like_lengths_within_the_budget() -> None:
    assert list(batches([5, 900, 6, 900], 1800)) == [[0, 2], [1, 3]]


@given(st.lists(st.integers(1, 512)), st.integers(1, 2048))
def test_every_row_is_in_one_batch_and_no_batch_is_over_budget(lengths: list[int], budget: int) -> None:
    groups = list(batches(lengths, budget))
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    assert all(len(g) == 1 or len(g) * max(lengths[i] for i in g) <= budget for g in groups)


def test_a_file_that_is_no_graph_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(ArtifactError, match=r"model\.onnx: ONNX Runtime cannot load it"):
        Engine(path, pad_id=0)


@pytest.mark.parametrize(
    ("part", "name", "message"),
    [
        ("input", "words", "inputs .*words.*; expected input_ids and attention_mask"),
        ("output", "scores", r"outputs \['scores'\]; expected logits of shape \(batch, labels\)"),
    ],
)
def test_a_graph_with_other_inputs_or_outputs_is_refused(
    tiny_model: Path, tmp_path: Path, part: str, name: str, message: str
) -> None:
    model = onnx.load(str(tiny_model / "model.onnx"))
    old = getattr(model.graph, part)[0].name
    getattr(model.graph, part)[0].name = name
    for node in model.graph.node:
        node.input[:] = [name if each == old else each for each in node.input]
        node.output[:] = [name if each == old else each for each in node.output]
    onnx.save(model, str(tmp_path / "model.onnx"))
    with pytest.raises(ArtifactError, match=message):
        Engine(tmp_path / "model.onnx", pad_id=0)


def test_logits_come_back_in_the_order_of_the_windows(tiny_model: Path) -> None:
    engine = Engine(tiny_model / "model.onnx", pad_id=0)
    windows = [[2, 7, 8, 9, 3], [2, 3], [2, 7, 3], [2, 7, 8, 9, 3]]
    together = engine.logits(windows)
    alone = np.concatenate([engine.logits([window]) for window in windows])
    np.testing.assert_allclose(together, alone, atol=1e-5)
