from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policytag.engine import Engine, batches
from policytag.errors import ArtifactError


def test_batches_group_equal_lengths_within_the_budget() -> None:
    assert list(batches([5, 900, 6, 900, 900], 1800)) == [[0], [2], [1, 3], [4]]


@given(st.lists(st.integers(1, 512)), st.integers(1, 2048))
def test_every_row_is_in_one_batch_and_no_batch_is_over_budget(lengths: list[int], budget: int) -> None:
    groups = list(batches(lengths, budget))
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    assert all(len(g) == 1 or sum(lengths[i] for i in g) <= budget for g in groups)
    assert all(len({lengths[i] for i in g}) == 1 for g in groups)


def test_a_file_that_is_no_graph_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(ArtifactError, match=r"model\.onnx: ONNX Runtime cannot load it"):
        Engine(path)


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
        Engine(tmp_path / "model.onnx")


@pytest.mark.parametrize("threads", [1, 3])
def test_logits_come_back_in_the_order_of_the_windows(tiny_model: Path, threads: int) -> None:
    engine = Engine(tiny_model / "model.onnx", threads)
    windows = [[2, 7, 8, 9, 3], [2, 3], [2, 7, 3], [2, 7, 8, 9, 3]] * 50
    together = engine.logits(windows)
    alone = np.concatenate([engine.logits([window]) for window in windows])
    np.testing.assert_array_equal(together, alone)


def test_several_callers_at_once_each_get_their_own_answers(tiny_model: Path) -> None:
    engine = Engine(tiny_model / "model.onnx", threads=2)
    calls = [[[2, *[4 + caller] * length, 3] for length in range(1, 40)] for caller in range(8)]
    expected = [engine.logits(windows) for windows in calls]
    with ThreadPoolExecutor(8) as pool:
        for got, wanted in zip(pool.map(engine.logits, calls * 5), expected * 5, strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_no_windows_give_no_logits(tiny_model: Path) -> None:
    assert Engine(tiny_model / "model.onnx").logits([]).shape == (0, 18)


def test_a_failure_in_one_thread_reaches_the_caller(tiny_model: Path) -> None:
    windows = [[2, 4, 3], [2, 10_000, 3, 3]] * 60
    with pytest.raises(Exception, match="indices element out of data bounds"):
        Engine(tiny_model / "model.onnx", threads=2).logits(windows)
