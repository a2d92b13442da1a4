"""Logits to probabilities and decisions: pure functions of numbers. Thresholds are applied here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policytag.errors import ArtifactError


@dataclass(frozen=True, slots=True)
class Calibration:
    """One temperature for all labels and a threshold for each.

    Attributes:
        temperature: Positive; logits are divided by it (Guo et al. 2017, arXiv:1706.04599).
        thresholds: ``L`` probabilities in [0, 1], in column order.

    Raises:
        ArtifactError: On values outside these ranges.
    """

    temperature: float
    thresholds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise ArtifactError(f"temperature {self.temperature}; expected a positive number")
        for column, threshold in enumerate(self.thresholds):
            if not 0 <= threshold <= 1:
                raise ArtifactError(f"threshold {threshold} in column {column}; expected 0 to 1")

    def to_dict(self, label_ids: Sequence[str]) -> dict[str, Any]:
        """``{"temperature": 1.2, "thresholds": {"subsidy": 0.5, …}}``."""
        return {"temperature": self.temperature, "thresholds": dict(zip(label_ids, self.thresholds, strict=True))}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], label_ids: Sequence[str]) -> Calibration:
        """Reads `to_dict`.

        Raises:
            ArtifactError: If the thresholds are not those of exactly these labels.
        """
        thresholds = data.get("thresholds", {})
        if set(thresholds) != set(label_ids):
            odd = ", ".join(sorted(set(thresholds) ^ set(label_ids)))
            raise ArtifactError(f"thresholds and taxonomy differ in {odd}; expected one for every label")
        return cls(float(data.get("temperature", 0)), tuple(float(thresholds[i]) for i in label_ids))


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Elementwise logistic function, without overflow.

    Shape: any -> the same, float32.
    """
    half = np.asarray(logits, dtype=np.float32) * np.float32(0.5)
    return np.float32(0.5) * (np.tanh(half) + np.float32(1))


def probabilities(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float32]:
    """Shape: ``(n, L)`` -> ``(n, L) float32`` in [0, 1]."""
    return sigmoid(np.asarray(logits, dtype=np.float32) / np.float32(temperature))


def decide(probability: NDArray[np.floating], thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """Which labels are assigned: probability at or above the label's threshold.

    Shape: ``(n, L)`` and ``L`` thresholds -> ``(n, L) bool``.
    """
    return np.asarray(probability) >= np.asarray(thresholds, dtype=np.float32)
