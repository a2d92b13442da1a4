"""A stored BERT classifier as an ONNX graph, in float32 or with 8-bit multiplications. Knows neither torch nor text.

The graph is written node by node rather than traced, for four things that a tracer does not do:

* The weights stay in ``model.safetensors``: an ONNX tensor may lie at an offset of another file of its folder.
* Of the last layer only the [CLS] row is computed, since the head reads no other: exact, and a fifth of the work saved
  in a network of four layers.
* The multiplications by weights can be 8-bit: weights with a scale for each output, activations with one fixed scale
  that was measured beforehand (`Ranges`). A scale taken from the batch at hand, as dynamic quantisation does, would
  let a paragraph's neighbours change its answer.
* ``Add`` and ``LayerNormalization`` stay two nodes: ONNX Runtime's fused ``SkipLayerNormalization`` is not vectorised
  on CPUs and takes eight times as long.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from policytag.errors import PolicytagError

WEIGHTS = "model.safetensors"
OPSET = 23
"""The first with ``Attention``; ONNX Runtime knows it from 1.23 on."""
IR_VERSION = 11
MICROSOFT = "com.microsoft"
_TYPES = {"F16": TensorProto.FLOAT16, "F32": TensorProto.FLOAT}
_ACTIVATIONS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "gelu": ("Gelu", {}),
    "gelu_new": ("Gelu", {"approximate": "tanh"}),
    "gelu_pytorch_tanh": ("Gelu", {"approximate": "tanh"}),
    "relu": ("Relu", {}),
}

Ranges = Mapping[str, tuple[float, float]]
"""Smallest and largest value of each activation that is multiplied by weights, by its name in the graph."""


class GraphError(PolicytagError):
    """A network that this graph cannot express."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies in a safetensors file (https://huggingface.co/docs/safetensors): bytes from the start."""

    kind: str
    shape: tuple[int, ...]
    offset: int
    length: int


def stored_tensors(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file, by name."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(size))
    header.pop("__metadata__", None)
    return {
        name: StoredTensor(entry["dtype"], tuple(entry["shape"]), 8 + size + start, end - start)
        for name, entry in header.items()
        for start, end in [entry["data_offsets"]]
    }


def write(folder: Path, name: str, ranges: Ranges | None = None) -> Path:
    """Writes the graph of a folder's ``model.safetensors`` and ``config.json`` beside them.

    Inputs ``input_ids, attention_mask (b, t) int64``, output ``logits (b, L) float32``.

    Args:
        name: The graph's file.
        ranges: With them the multiplications by weights are 8-bit, else float32.

    Raises:
        GraphError: If the network has tensors or an activation that this does not know.
    """
    return _write(_Graph(folder, ranges), folder / name)


def write_observer(folder: Path, name: str) -> Path:
    """Writes the float32 graph with two more outputs for each activation: ``NAME.min`` and ``NAME.max``, scalars."""
    return _write(_Graph(folder, None, observe=True), folder / name)


def _write(graph: _Graph, path: Path) -> Path:
    onnx.save_model(graph.build(), str(path))
    onnx.checker.check_model(str(path))
    return path


class _Graph:
    """Nodes and initialisers as they come; a method a part of the network."""

    def __init__(self, folder: Path, ranges: Ranges | None, observe: bool = False) -> None:
        self._file = folder / WEIGHTS
        self._stored = stored_tensors(self._file)
        self._config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self._ranges, self._observe = ranges, observe
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._observed: list[str] = []
        if self._config["hidden_act"] not in _ACTIVATIONS:
            raise GraphError(f"hidden_act {self._config['hidden_act']}; expected one of {', '.join(_ACTIVATIONS)}")

    def build(self) -> onnx.ModelProto:
        """The whole model."""
        layers = self._config["num_hidden_layers"]
        hidden, masks = self._embeddings(), self._masks()
        for number in range(layers):
            hidden = self._layer(f"bert.encoder.layer.{number}.", hidden, masks, last=number == layers - 1)
        cls = self._node("Squeeze", [hidden, self._constant("one", np.array([1]))])
        pooled = self._node("Tanh", [self._gemm(cls, "bert.pooler.dense")])
        self._gemm(pooled, "classifier", output="logits")
        labels = self._stored["classifier.weight"].shape[0]
        outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", labels])]
        outputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in self._observed]
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask")
        ]
        graph = helper.make_graph(self._nodes, "policytag", inputs, outputs, list(self._initializers.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="policytag")

    def _embeddings(self) -> str:
        prefix = "bert.embeddings."
        # Gathered as stored and cast afterwards: the table, the largest tensor, is never held as float32.
        words = self._float(self._node("Gather", [self._raw(f"{prefix}word_embeddings.weight"), "input_ids"]))
        tokens = self._node("Shape", ["input_ids"], start=1)
        zero = self._constant("zero", np.array([0]))
        positions = self._node("Slice", [self._tensor(f"{prefix}position_embeddings.weight"), zero, tokens, zero])
        segment = self._node("Gather", [self._tensor(f"{prefix}token_type_embeddings.weight"), zero])
        total = self._node("Add", [words, self._node("Add", [positions, segment])])
        return self._layer_norm(total, f"{prefix}LayerNorm")

    def _masks(self) -> tuple[str, str]:
        """What is added to attention scores, 0 or -10,000: for one query, and for as many as tokens.

        Shapes: ``(b, 1, 1, t)`` and ``(b, 1, t, t)``; ``Attention`` broadcasts over heads, not over queries.
        """
        seen = self._node("Cast", ["attention_mask"], to=TensorProto.FLOAT)
        hidden = self._node("Sub", [seen, self._constant("seen", np.float32(1))])
        added = self._node("Mul", [hidden, self._constant("far", np.float32(1e4))])
        one = self._node("Unsqueeze", [added, self._constant("inner", np.array([1, 2]))])
        batch, tokens = (self._node("Shape", ["attention_mask"], start=i, end=i + 1) for i in (0, 1))
        shape = self._node("Concat", [batch, self._constant("one", np.array([1])), tokens, tokens], axis=0)
        return one, self._node("Expand", [one, shape])

    def _layer(self, prefix: str, hidden: str, masks: tuple[str, str], last: bool) -> str:
        """One layer, ``(b, t, h)`` -> ``(b, t, h)``; the last one gives the [CLS] row alone, ``(b, 1, h)``."""
        heads = self._config["num_attention_heads"]
        given = self._activation(hidden, f"{prefix}input")
        asked = self._first(given) if last else given
        query = self._linear(asked, f"{prefix}input", f"{prefix}attention.self.query")
        key, value = (self._linear(given, f"{prefix}input", f"{prefix}attention.self.{n}") for n in ("key", "value"))
        attended = self._node(
            "Attention", [query, key, value, masks[0] if last else masks[1]], q_num_heads=heads, kv_num_heads=heads
        )
        mixed = self._dense(attended, f"{prefix}attended", f"{prefix}attention.output.dense")
        kept = self._first(hidden) if last else hidden
        hidden = self._layer_norm(self._node("Add", [mixed, kept]), f"{prefix}attention.output.LayerNorm")
        name, attributes = _ACTIVATIONS[self._config["hidden_act"]]
        wide = self._dense(hidden, f"{prefix}attention", f"{prefix}intermediate.dense")
        narrow = self._dense(self._node(name, [wide], **attributes), f"{prefix}wide", f"{prefix}output.dense")
        return self._layer_norm(self._node("Add", [narrow, hidden]), f"{prefix}output.LayerNorm")

    def _first(self, value: str) -> str:
        """The [CLS] row, ``(b, t, h)`` -> ``(b, 1, h)``."""
        zero, one = self._constant("zero", np.array([0])), self._constant("one", np.array([1]))
        return self._node("Slice", [value, zero, one, one])

    def _dense(self, value: str, activation: str, weights: str) -> str:
        return self._linear(self._activation(value, activation), activation, weights)

    def _activation(self, value: str, name: str) -> str:
        """What is to be multiplied by weights: as it is, or in 8 bits with the scale of the activation ``name``."""
        if self._observe:
            for suffix, reduce in (("min", "ReduceMin"), ("max", "ReduceMax")):
                self._observed.append(self._node(reduce, [value], output=f"{name}.{suffix}", keepdims=0))
        if self._ranges is None:
            return value
        scale, zero = scale_of(*self._ranges[name])
        return self._node(
            "QuantizeLinear", [value, self._constant(f"{name}.scale", scale), self._constant(f"{name}.zero", zero)]
        )

    def _linear(self, value: str, activation: str, name: str) -> str:
        """``value @ weight.T + bias``; ``value`` is what `_activation` gave for ``activation``."""
        bias = self._tensor(f"{name}.bias")
        if self._ranges is None:
            weight = self._node("Transpose", [self._tensor(f"{name}.weight")], perm=[1, 0])
            return self._node("Add", [self._node("MatMul", [value, weight]), bias])
        weight, scales = quantise(self._array(f"{name}.weight"))
        inputs = [
            value,
            self._constant(f"{name}.int8", weight.T),
            f"{activation}.scale",
            self._constant(f"{name}.scales", scales),
            f"{activation}.zero",
            "",  # weights have no zero point
            bias,
        ]
        return self._node("MatMulIntegerToFloat", inputs, domain=MICROSOFT)

    def _gemm(self, value: str, name: str, output: str | None = None) -> str:
        inputs = [value, self._tensor(f"{name}.weight"), self._tensor(f"{name}.bias")]
        return self._node("Gemm", inputs, output, transB=1)

    def _layer_norm(self, value: str, name: str) -> str:
        inputs = [value, self._tensor(f"{name}.weight"), self._tensor(f"{name}.bias")]
        return self._node("LayerNormalization", inputs, epsilon=self._config["layer_norm_eps"])

    def _node(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        output = output or f"{kind}.{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _constant(self, name: str, value: NDArray[Any] | np.generic) -> str:
        if name not in self._initializers:
            self._initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
        return name

    def _tensor(self, name: str) -> str:
        """A tensor of the safetensors file, as float32."""
        return self._float(self._raw(name), name)

    def _float(self, value: str, output: str | None = None) -> str:
        """``value`` as float32: ONNX Runtime folds the cast of a constant when it loads the graph."""
        if any(output in node.output for node in self._nodes):
            return str(output)
        return self._node("Cast", [value], output, to=TensorProto.FLOAT)

    def _raw(self, name: str) -> str:
        """A tensor of the safetensors file as it is stored."""
        stored = self._lookup(name)
        tensor = onnx.TensorProto(
            name=f"{name}.stored", data_type=_TYPES[stored.kind], dims=stored.shape, data_location=TensorProto.EXTERNAL
        )
        for key, value in (("location", WEIGHTS), ("offset", stored.offset), ("length", stored.length)):
            tensor.external_data.add(key=key, value=str(value))
        self._initializers[tensor.name] = tensor
        return tensor.name

    def _array(self, name: str) -> NDArray[np.float32]:
        stored = self._lookup(name)
        kind = helper.tensor_dtype_to_np_dtype(_TYPES[stored.kind])
        data = np.fromfile(self._file, kind, stored.length // kind.itemsize, offset=stored.offset)
        return data.reshape(stored.shape).astype(np.float32)

    def _lookup(self, name: str) -> StoredTensor:
        stored = self._stored.get(name)
        if stored is None or stored.kind not in _TYPES:
            what = f"stored as {stored.kind}" if stored else "missing"
            raise GraphError(f"{self._file}: {name} is {what}; expected a BertForSequenceClassification in F16 or F32")
        return stored


def scale_of(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """Scale and zero point with which 0 to 255 stand for ``low`` to ``high``; zero is always among the values.

    ``scale_of(-1.0, 1.55)`` -> ``0.01, 100``.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255 or 1.0
    return np.float32(scale), np.uint8(round(-low / scale))


def quantise(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """8-bit weights, symmetric, with a scale for each output.

    Args:
        weight: Shape ``(outputs, inputs) float32``.

    Returns:
        Shape ``(outputs, inputs) int8`` in [-127, 127], and the scales, shape ``(outputs,) float32``.
    """
    largest = np.abs(weight).max(axis=1)
    scales = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    return np.round(weight / scales[:, None]).astype(np.int8), scales
