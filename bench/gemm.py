"""The machine's own limit: the rate of multiplications by weights at the network's shapes, in three precisions.

int8 and float32 by ONNX Runtime, bfloat16 by torch (oneDNN); as many at once as there are processors, each on one.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from bench.timing import in_turns

TOKENS = 512
REPEATS = 40


def shapes(config: dict[str, Any]) -> list[tuple[int, int, int]]:
    """``(inputs, outputs, times a layer)`` of a BERT layer."""
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    return [(hidden, hidden, 4), (hidden, wide, 1), (wide, hidden, 1)]


def rates(config: dict[str, Any], threads: int, rounds: int) -> dict[str, float]:
    """Median operations a second (a multiplication and an addition are two), over a layer's shapes, by precision."""
    operations = sum(2 * TOKENS * a * b * times for a, b, times in shapes(config)) * REPEATS * threads
    torch.set_num_threads(1)
    with ThreadPoolExecutor(threads) as pool:
        actions = {
            name: _parallel(pool, threads, [(make(a, b), times) for a, b, times in shapes(config)])
            for name, make in (("int8", _int8), ("bf16", _bf16), ("fp32", _fp32))
        }
        timings = in_turns(actions, rounds)
    torch.set_num_threads(threads)
    return {name: operations / timing.median for name, timing in timings.items()}


def _parallel(
    pool: ThreadPoolExecutor, threads: int, products: list[tuple[Callable[[], object], int]]
) -> Callable[[], object]:
    def one(_: int) -> None:
        for _ in range(REPEATS):
            for product, times in products:
                for _ in range(times):
                    product()

    return lambda: list(pool.map(one, range(threads)))


def _onnx(inputs: int, outputs: int, kind: str, x: np.ndarray, w: np.ndarray, result: int) -> Callable[[], object]:
    node = helper.make_node(kind, ["x", "w"], ["y"])
    x_type = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        [node], "gemm",
        [helper.make_tensor_value_info("x", x_type, [TOKENS, inputs])],
        [helper.make_tensor_value_info("y", result, [TOKENS, outputs])],
        [numpy_helper.from_array(w, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})


def _int8(inputs: int, outputs: int) -> Callable[[], object]:
    x, w = np.ones((TOKENS, inputs), np.uint8), np.ones((inputs, outputs), np.int8)
    return _onnx(inputs, outputs, "MatMulInteger", x, w, TensorProto.INT32)


def _fp32(inputs: int, outputs: int) -> Callable[[], object]:
    x, w = np.ones((TOKENS, inputs), np.float32), np.ones((inputs, outputs), np.float32)
    return _onnx(inputs, outputs, "MatMul", x, w, TensorProto.FLOAT)


def _bf16(inputs: int, outputs: int) -> Callable[[], object]:
    x, w = torch.ones(TOKENS, inputs, dtype=torch.bfloat16), torch.ones(outputs, inputs, dtype=torch.bfloat16)
    return lambda: torch.nn.functional.linear(x, w)


def operations(config: dict[str, Any], tokens: list[int], cls_only: bool) -> float:
    """Multiplications and additions by weights for windows of so many tokens; attention's own are left out.

    Args:
        cls_only: Whether the last layer computes the [CLS] row alone, as this project's graph does.
    """
    hidden, wide, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    row = 4 * hidden * hidden + 2 * hidden * wide
    total = sum(tokens)
    if not cls_only:
        return 2.0 * total * row * layers
    last = total * 2 * hidden * hidden + len(tokens) * (row - 2 * hidden * hidden)
    return 2.0 * (total * row * (layers - 1) + last)
