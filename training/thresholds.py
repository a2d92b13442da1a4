"""One temperature and a threshold for each label, fitted on logits and gold labels: pure functions.

A label's own best threshold overfits the few positives of a development set, so it only counts as far as its support
warrants; the rest is a threshold that all labels share.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from policytag.calibration import Calibration, probabilities

STEP = 0.01
"""Distance of the thresholds tried."""


def fit(
    logits: NDArray[np.floating], gold: NDArray[np.bool_], *, shrink: float, low: float, high: float
) -> Calibration:
    """Temperature and thresholds together.

    Args:
        logits: Shape ``(n, L)``.
        gold: Shape ``(n, L) bool``.
        shrink: Support at which a label's own threshold and the shared one count the same.
        low: Lower bound of every threshold.
        high: Upper bound of every threshold.
    """
    temperature = fit_temperature(logits, gold)
    probability = probabilities(logits, temperature)
    thresholds = fit_thresholds(probability, gold, shrink=shrink, low=low, high=high)
    return Calibration(temperature, tuple(round(float(t), 4) for t in thresholds))


def fit_temperature(logits: NDArray[np.floating], gold: NDArray[np.bool_]) -> float:
    """The temperature in [0.1, 10] that minimises the negative log-likelihood (Guo et al. 2017, arXiv:1706.04599).

    Shape: ``(n, L)`` both. Logits of ±2 that are right nine times in ten are not confident enough by a little:
    logit(0.9) = 2.197 and the answer is 2 / 2.197 = 0.910.
    """
    wide = np.asarray(logits, dtype=np.float64)
    sign = np.where(gold, -1.0, 1.0)

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0, sign * wide / np.exp(log_temperature)).mean())

    found = minimize_scalar(loss, bounds=(np.log(0.1), np.log(10)), method="bounded", options={"xatol": 1e-5})
    return round(float(np.exp(found.x)), 4)  # pyright: ignore[reportAttributeAccessIssue]


def fit_thresholds(
    probability: NDArray[np.floating], gold: NDArray[np.bool_], *, shrink: float, low: float, high: float
) -> NDArray[np.float64]:
    """Each label's F1-optimal threshold, drawn towards the shared one.

    ``threshold = w * own + (1 - w) * shared`` with ``w = support / (support + shrink)``. With ``shrink`` 100 a label of
    100 positives lies halfway; one of none has the shared threshold.

    Args:
        probability: Shape ``(n, L)``, after the temperature.
        gold: Shape ``(n, L) bool``.
        shrink: In positives; 0 gives every supported label its own threshold.
        low: Lower bound.
        high: Upper bound.

    Returns:
        Shape ``(L,)``, within the bounds.
    """
    grid = np.round(np.arange(low, high + STEP / 2, STEP), 4)
    scores = _f1_over(grid, probability, gold)
    support = gold.sum(axis=0)
    shared = _best(grid, _mean_over_supported(scores, support), near=0.5)
    own = np.array([_best(grid, column, near=shared) for column in scores.T])
    weight = np.where(support > 0, support / np.maximum(support + shrink, 1e-9), 0.0)
    return np.clip(weight * own + (1 - weight) * shared, low, high)


def _f1_over(
    grid: NDArray[np.float64], probability: NDArray[np.floating], gold: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """F1 of each label at each threshold; 0 where it is not defined. Shape: ``(g, L)``."""
    scores = np.zeros((len(grid), gold.shape[1]))
    for i, threshold in enumerate(grid):
        chosen = probability >= np.float32(threshold)
        hits = (chosen & gold).sum(axis=0)
        scores[i] = 2 * hits / np.maximum(chosen.sum(axis=0) + gold.sum(axis=0), 1)
    return scores


def _mean_over_supported(scores: NDArray[np.float64], support: NDArray[np.integer]) -> NDArray[np.float64]:
    """Macro-F1 at each threshold over the labels that have positives; all 0 where none has. Shape: ``(g,)``."""
    return scores[:, support > 0].mean(axis=1) if (support > 0).any() else np.zeros(len(scores))


def _best(grid: NDArray[np.float64], scores: NDArray[np.float64], near: float) -> float:
    """The threshold of the highest score; of several the one nearest to ``near``."""
    ties = grid[scores >= scores.max() - 1e-12]
    return float(ties[np.abs(ties - near).argmin()])
