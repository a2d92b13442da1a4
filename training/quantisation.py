"""The 8-bit form of a model folder's network: activation ranges, the graph, and the gate it must pass.

Static quantisation (Jacob et al. 2018, arXiv:1712.05877): weights with a scale for each output, activations with one
measured on real text. Knows neither how the network was trained nor what else is in the folder.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from policytag.artifact import GRAPHS
from policytag.calibration import Calibration, decide, probabilities
from policytag.encoding import Encoder, pool
from policytag.engine import Engine
from policytag.errors import PolicytagError
from training import graph, metrics
from training.graph import Ranges

log = logging.getLogger(__name__)

MAX_F1_LOSS = 0.003
"""Macro-F1 that the 8-bit form may lose."""
MIN_EQUAL = 0.995
"""Share of the decisions, labels x paragraphs, that it must leave as they are."""
MAX_RANGE_TEXTS = 512
"""Texts that activations are measured on; more do not change a range that matters."""


class QuantisationError(PolicytagError):
    """An 8-bit form that answers too differently."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The 8-bit form against the float32 one.

    Attributes:
        paragraphs: Compared.
        f1_loss: Macro-F1 of float32 minus that of 8 bits; negative where 8 bits are better.
        equal: Share of equal decisions, in [0, 1].
    """

    paragraphs: int
    f1_loss: float
    equal: float

    def check(self) -> None:
        """The gate.

        Raises:
            QuantisationError: If more is lost than `MAX_F1_LOSS` and `MIN_EQUAL` allow.
        """
        if not (self.f1_loss <= MAX_F1_LOSS and self.equal >= MIN_EQUAL):
            raise QuantisationError(
                f"{GRAPHS['int8']}: on {self.paragraphs} paragraphs macro-F1 falls by {self.f1_loss:.4f} and "
                f"{self.equal:.2%} of the decisions stay; expected at most {MAX_F1_LOSS} and at least {MIN_EQUAL:.1%}. "
                "Measure the activations on more and more typical texts, or serve float32"
            )

    def to_dict(self) -> dict[str, Any]:
        """As it stands in ``metrics.json``."""
        return {"paragraphs": self.paragraphs, "f1_loss": round(self.f1_loss, 4), "equal": round(self.equal, 5)}


@dataclass(frozen=True, slots=True)
class Judge:
    """What the two forms are compared on: texts, their labels ``(n, L) bool``, and how logits become decisions."""

    texts: Sequence[str]
    gold: NDArray[np.bool_]
    calibration: Calibration

    def compare(self, exact: NDArray[np.float32], rounded: NDArray[np.float32]) -> Comparison:
        """Shapes: ``(n, L)`` logits of each form."""
        ours, theirs = (
            decide(probabilities(logits, self.calibration.temperature), self.calibration.thresholds)
            for logits in (exact, rounded)
        )
        loss = self._macro_f1(ours) - self._macro_f1(theirs)
        return Comparison(len(self.texts), loss, float(np.mean(ours == theirs)))

    def _macro_f1(self, chosen: NDArray[np.bool_]) -> float:
        cells = (self.gold & chosen, ~self.gold & chosen, self.gold & ~chosen)
        return float(metrics.macro_f1(np.stack([cell.sum(axis=0) for cell in cells]).astype(np.float64)))


def write_int8(folder: Path, encoder: Encoder, range_texts: Sequence[str], judge: Judge) -> Comparison:
    """Writes ``model.int8.onnx`` beside the ``model.onnx`` of a folder.

    Args:
        range_texts: Typical texts; labels are not needed.
        judge: Best with rows that the network did not learn from.

    Raises:
        QuantisationError: If it does not pass the gate; the file is gone then.
    """
    path = graph.write(folder, GRAPHS["int8"], activation_ranges(folder, encoder, range_texts))
    exact, rounded = (onnx_logits(folder / GRAPHS[form], encoder, judge.texts) for form in ("fp32", "int8"))
    comparison = judge.compare(exact, rounded)
    log.info("int8: macro-F1 %+.4f, %.2f %% of decisions equal", -comparison.f1_loss, 100 * comparison.equal)
    try:
        comparison.check()
    except QuantisationError:
        path.unlink()
        raise
    return comparison


def activation_ranges(folder: Path, encoder: Encoder, texts: Sequence[str]) -> Ranges:
    """Smallest and largest value of each activation on an even sample of the texts."""
    step = -(-len(texts) // MAX_RANGE_TEXTS)
    windows, _, _ = encoder.windows(list(texts[:: max(step, 1)]))
    path = graph.write_observer(folder, "observer.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    finally:
        path.unlink()
    names = [node.name for node in session.get_outputs()]
    # One window a run: a padding token's values are no measure of anything.
    rows = []
    for window in windows:
        ids = np.array([window], dtype=np.int64)
        rows.append(session.run(names[1:], {"input_ids": ids, "attention_mask": np.ones_like(ids)}))
    values = dict(zip(names[1:], np.array(rows, dtype=np.float64).T, strict=True))
    activations = [name.removesuffix(".min") for name in values if name.endswith(".min")]
    return {name: (float(values[f"{name}.min"].min()), float(values[f"{name}.max"].max())) for name in activations}


def onnx_logits(path: Path, encoder: Encoder, texts: Sequence[str]) -> NDArray[np.float32]:
    """What serving will compute with a graph. Shape: ``(n, L) float32``."""
    windows, owners, _ = encoder.windows(texts)
    return pool(Engine(path).logits(windows), owners, len(texts))
