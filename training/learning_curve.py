"""Whether choosing what to label beats drawing it at random: learning curves on paragraphs that are labelled already.

Both start from the same random rows and go on by steps, one by `training.suggestion`, one by chance; after each, one
linear model learns from what is labelled and is measured on the same held-out documents.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import linear, metrics, splits, suggestion

log = logging.getLogger(__name__)

CHOSEN, RANDOM = "chosen", "random"
TEST_SHARE = 0.2


def curves(
    texts: Sequence[str], gold: NDArray[np.bool_], docs: Sequence[str], *, first: int, step: int, steps: int, seeds: int
) -> dict[str, Any]:
    """Macro-F1 and mAP of both ways by number of labelled paragraphs.

    Args:
        texts: ``n`` paragraphs.
        gold: Shape ``(n, L) bool``.
        docs: Their documents; a fifth of them is measured on.
        first: Random paragraphs that both start with.
        step: Paragraphs a step.
        steps: Steps after the start.
        seeds: Repetitions with other splits and draws.

    Returns:
        ``{"labelled": [...], "chosen": {"macro_f1": [[one a step] a seed], "map": …}, "random": …}``.
    """
    matrix = linear.features(texts)
    report: dict[str, Any] = {"labelled": [first + step * i for i in range(steps + 1)]}
    report |= {way: {"macro_f1": [], "map": []} for way in (CHOSEN, RANDOM)}
    for seed in range(1, seeds + 1):
        test = splits.hold_out(docs, gold, TEST_SHARE, seed)
        pool = np.flatnonzero(~test)
        for way in (CHOSEN, RANDOM):
            figures = _curve(matrix, gold, pool, np.flatnonzero(test), way, first, step, steps, seed)
            report[way]["macro_f1"].append([f for f, _ in figures])
            report[way]["map"].append([m for _, m in figures])
            log.info("seed %d, %s: macro-F1 %s", seed, way, " ".join(f"{f:.3f}" for f, _ in figures))
    return report


def _curve(
    matrix: Any,
    gold: NDArray[np.bool_],
    pool: NDArray[np.intp],
    test: NDArray[np.intp],
    way: str,
    first: int,
    step: int,
    steps: int,
    seed: int,
) -> list[tuple[float, float]]:
    order = np.random.default_rng(seed).permutation(pool)  # the same start for both ways
    labelled, rest = order[:first], order[first:]
    figures = []
    for number in range(steps + 1):
        questions = np.concatenate([test, rest])
        probability = linear.probabilities(matrix[labelled], gold[labelled], matrix[questions])
        figures.append(_figures(gold[test], probability[: len(test)]))
        if number == steps:
            break
        if way == CHOSEN:
            positives = gold[labelled].sum(axis=0)
            taken = suggestion.choose(matrix[rest], probability[len(test) :], positives, step, seed)
        else:
            taken = np.arange(step)
        labelled = np.concatenate([labelled, rest[taken]])
        rest = np.delete(rest, taken)
    return figures


def _figures(gold: NDArray[np.bool_], probability: NDArray[np.float32]) -> tuple[float, float]:
    """Macro-F1 at probability 0.5 with missing labels as 0, and mean average precision."""
    chosen = probability >= 0.5
    counts = np.stack([(gold & chosen).sum(0), (~gold & chosen).sum(0), (gold & ~chosen).sum(0)]).astype(float)
    precision = metrics.average_precision(gold, probability)
    return float(np.nan_to_num(metrics.f1(counts)).mean()), float(np.nanmean(precision))
