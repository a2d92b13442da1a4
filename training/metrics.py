"""How good predictions are: figures and their confidence intervals. Knows neither models nor files.

Everything is computed from true positives, false positives and false negatives *per document*, so that a bootstrap over
documents is one matrix product. A label without positives and predictions has no F1 and counts in no mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from policytag.taxonomy import FACETS, Taxonomy

CORE_INSTRUMENTS = ("subsidy", "talent", "platform", "approval_reform")
"""The instruments the service was asked for; their mean is reported apart."""
ECE_BINS = 10
Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How often each document is drawn in each resample; shared by all figures, which makes differences paired.

    Attributes:
        owners: Shape ``(n,)``: the document of each paragraph.
        weights: Shape ``(r, d) float64``.
    """

    owners: NDArray[np.intp]
    weights: NDArray[np.float64]

    @classmethod
    def draw(cls, docs: Sequence[str], resamples: int, seed: int) -> Bootstrap:
        """Resamples the documents of ``n`` paragraphs with replacement."""
        names, owners = np.unique(np.asarray(docs), return_inverse=True)
        even = np.full(len(names), 1 / len(names))
        weights = np.random.default_rng(seed).multinomial(len(names), even, size=resamples)
        return cls(owners, weights.astype(np.float64))

    def counts(self, gold: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> Counts:
        """True positives, false positives, false negatives. Shape: ``(3, d, L) float64``."""
        cells = np.stack([gold & chosen, ~gold & chosen, gold & ~chosen])
        counts = np.zeros((3, self.weights.shape[1], gold.shape[1]))
        for kind in range(3):
            np.add.at(counts[kind], self.owners, cells[kind])
        return counts

    def resample(self, counts: Counts) -> Counts:
        """Counts of every resample. Shape: ``(3, d, L)`` -> ``(3, r, L)``."""
        return np.stack([self.weights @ kind for kind in counts])


def groups(taxonomy: Taxonomy) -> dict[str, list[int]]:
    """The sets of labels that figures are given for: all, each facet, the core instruments."""
    columns = {"all": list(range(len(taxonomy)))}
    columns.update({facet: list(taxonomy.facet_columns(facet)) for facet in FACETS})
    columns["core_instruments"] = [taxonomy.column(label) for label in CORE_INSTRUMENTS if label in taxonomy]
    return {name: chosen for name, chosen in columns.items() if chosen}


def f1(counts: Counts) -> NDArray[np.float64]:
    """F1 of each label; NaN where there are neither positives nor predictions. Shape: ``(3, …)`` -> ``(…)``.

    Three found, one of them wrong, two missed: 2·2 / (2·2 + 1 + 2) = 0.571.
    """
    hits, extra, missed = counts
    with np.errstate(invalid="ignore"):
        return 2 * hits / (2 * hits + extra + missed)


def macro_f1(counts: Counts) -> NDArray[np.float64]:
    """Mean of the labels' F1, labels without one left out. Shape: ``(3, …, L)`` -> ``(…)``."""
    scores = f1(counts)
    known = ~np.isnan(scores)
    return np.where(known, scores, 0).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)


def micro_f1(counts: Counts) -> NDArray[np.float64]:
    """F1 of all decisions together, 0 where there is nothing. Shape: ``(3, …, L)`` -> ``(…)``."""
    return np.nan_to_num(f1(counts.sum(axis=-1)))


def interval(samples: NDArray[np.float64]) -> list[float]:
    """The middle 95 % of resampled figures. Shape: ``(r,)`` -> two numbers."""
    return [_round(value) for value in np.percentile(samples, [2.5, 97.5])]


def score(
    gold: NDArray[np.bool_],
    chosen: NDArray[np.bool_],
    scores: NDArray[np.floating],
    taxonomy: Taxonomy,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """All figures of one model, as they stand in ``metrics.json``.

    Args:
        gold: Shape ``(n, L) bool``.
        chosen: The decisions, shape ``(n, L) bool``.
        scores: Anything that ranks paragraphs within a label, shape ``(n, L)``.

    Returns:
        ``{"groups": {group: figures}, "labels": {label id: figures}}``.
    """
    counts = bootstrap.counts(gold, chosen)
    resampled = bootstrap.resample(counts)
    precision = average_precision(gold, scores)
    return {
        "groups": {
            name: _group(counts[..., columns], resampled[..., columns], precision[columns])
            for name, columns in groups(taxonomy).items()
        },
        "labels": {
            label: _label(counts[..., i].sum(axis=1), resampled[..., i], precision[i])
            for i, label in enumerate(taxonomy.ids)
        },
    }


def difference(ours: Counts, theirs: Counts, taxonomy: Taxonomy, bootstrap: Bootstrap) -> dict[str, Any]:
    """Macro-F1 of one model minus another's on the same resamples, by group, with its interval."""
    return {
        name: {
            "macro_f1": _round(macro_f1(_total(ours[..., c])) - macro_f1(_total(theirs[..., c]))),
            "macro_f1_ci": interval(
                macro_f1(bootstrap.resample(ours[..., c])) - macro_f1(bootstrap.resample(theirs[..., c]))
            ),
        }
        for name, c in groups(taxonomy).items()
    }


def calibration_error(probability: NDArray[np.floating], gold: NDArray[np.bool_]) -> float:
    """Expected calibration error over all (paragraph, label) pairs in ten bins of equal width, in [0, 1].

    Shape: ``(n, L)`` both. Probabilities 0.8, 0.8, 0.8, 0.8 of which two are right: |0.8 - 0.5| = 0.3.
    """
    flat, right = np.asarray(probability, dtype=np.float64).ravel(), gold.ravel()
    bins = np.minimum((flat * ECE_BINS).astype(int), ECE_BINS - 1)
    gap = np.bincount(bins, weights=flat - right, minlength=ECE_BINS)
    return float(np.abs(gap).sum() / max(len(flat), 1))


def calibration_errors(
    probability: NDArray[np.floating], gold: NDArray[np.bool_], taxonomy: Taxonomy
) -> dict[str, float]:
    """`calibration_error` of each facet."""
    facets = {facet: list(taxonomy.facet_columns(facet)) for facet in FACETS}
    return {f: _round(calibration_error(probability[:, c], gold[:, c])) for f, c in facets.items() if c}


def _total(counts: Counts) -> Counts:
    return counts.sum(axis=1)


def _group(counts: Counts, resampled: Counts, average_precision: NDArray[np.float64]) -> dict[str, Any]:
    hits, extra, missed = _total(counts).sum(axis=-1)
    known = average_precision[~np.isnan(average_precision)]
    return {
        "macro_f1": _round(macro_f1(_total(counts))),
        "macro_f1_ci": interval(macro_f1(resampled)),
        "micro_f1": _round(micro_f1(_total(counts))),
        "micro_f1_ci": interval(micro_f1(resampled)),
        "micro_precision": _ratio(hits, hits + extra),
        "micro_recall": _ratio(hits, hits + missed),
        "mean_average_precision": _round(known.mean()) if len(known) else 0.0,
    }


def _label(counts: NDArray[np.float64], resampled: Counts, average_precision: float) -> dict[str, Any]:
    hits, extra, missed = counts
    return {
        "precision": _ratio(hits, hits + extra),
        "recall": _ratio(hits, hits + missed),
        "f1": _ratio(2 * hits, 2 * hits + extra + missed),
        "f1_ci": interval(np.nan_to_num(f1(resampled))),
        "average_precision": None if np.isnan(average_precision) else _round(average_precision),
        "support": int(hits + missed),
        "predicted": int(hits + extra),
    }


def average_precision(gold: NDArray[np.bool_], scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Shape: ``(n, L)`` both -> ``(L,)``, NaN for labels without positives."""
    return np.array(
        [
            average_precision_score(gold[:, i], scores[:, i]) if gold[:, i].any() else np.nan
            for i in range(gold.shape[1])
        ]
    )


def headline(report: Mapping[str, Any]) -> dict[str, float]:
    """The figures that the manifest carries, from a whole report."""
    found = {f"{group}_macro_f1": f["macro_f1"] for group, f in report["model"]["groups"].items()}
    found["all_micro_f1"] = report["model"]["groups"]["all"]["micro_f1"]
    if report.get("baseline"):
        found.update({f"baseline_{g}_macro_f1": f["macro_f1"] for g, f in report["baseline"]["groups"].items()})
    if "int8" in report:
        found.update({f"int8_{name}": report["int8"][name] for name in ("f1_loss", "equal")})
    return {**found, "parity": report["parity"]}


def _ratio(part: float, whole: float) -> float:
    return _round(part / whole) if whole else 0.0


def _round(value: float | NDArray[np.float64]) -> float:
    return round(float(value), 4)
