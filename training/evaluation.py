"""What a finished model is worth on annotated paragraphs: every figure of the report. Draws nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from policytag.calibration import decide, probabilities
from policytag.errors import InputError
from policytag.tagger import Tagger
from policytag.taxonomy import Taxonomy
from training import metrics, slices
from training.annotations import Annotation, gold_matrix
from training.metrics import Bootstrap

MAX_ERRORS = 300
"""Wrong tags listed, the surest first."""
MAX_POINTS = 80
"""Points of a curve."""
GRID = np.round(np.arange(0.05, 0.951, 0.05), 2)
"""Thresholds that the threshold plots show."""


class Answers:
    """A model's answers to some paragraphs: ``probability`` and ``chosen``, shape ``(n, L)`` both."""

    def __init__(self, tagger: Tagger, rows: Sequence[Annotation]) -> None:
        logits, _ = tagger.logits([row.text for row in rows])
        calibration = tagger.artifact.calibration
        self.version = tagger.version
        self.taxonomy = tagger.taxonomy
        self.thresholds = calibration.thresholds
        self.probability = probabilities(logits, calibration.temperature)
        self.chosen = decide(self.probability, calibration.thresholds)


def evaluate(
    rows: Sequence[Annotation], model: Answers, other: Answers | None, resamples: int, seed: int
) -> dict[str, Any]:
    """All figures.

    Args:
        rows: ``n`` annotated paragraphs, with the labels of ``model``'s taxonomy.
        other: Another model's answers to the same paragraphs, to compare with on the labels that both have.
        resamples: Bootstrap resamples of documents; the comparison is paired.
    """
    gold, taxonomy = gold_matrix(rows), model.taxonomy
    bootstrap = Bootstrap.draw([row.doc for row in rows], resamples, seed)
    report: dict[str, Any] = {
        "model": model.version,
        "taxonomy": taxonomy.version,
        "paragraphs": len(rows),
        "documents": len({row.doc for row in rows}),
        "seed": seed,
        "figures": metrics.score(gold, model.chosen, model.probability, taxonomy, bootstrap),
        "curves": {
            label: _curves(gold[:, i], model.probability[:, i], model.thresholds[i])
            for i, label in enumerate(taxonomy.ids)
        },
        "calibration": _calibration(gold, model.probability, taxonomy),
        "confusion": _confusion(gold, model.chosen, taxonomy),
        "slices": _slices(rows, gold, model.chosen, resamples, seed),
        "errors": _errors(rows, gold, model),
    }
    if other:
        report["comparison"] = _comparison(rows, gold, model, other, bootstrap)
    return report


def _curves(gold: NDArray[np.bool_], probability: NDArray[np.float32], threshold: float) -> dict[str, Any]:
    """Precision over recall, and both with F1 over the threshold; no curve for a label without positives."""
    if not gold.any():
        return {"threshold": threshold, "pr": [], "thresholds": []}
    precision, recall, _ = precision_recall_curve(gold, probability)
    step = max(1, len(precision) // MAX_POINTS)
    points = [[round(float(r), 4), round(float(p), 4)] for r, p in zip(recall[::step], precision[::step], strict=True)]
    rows = []
    for at in GRID:
        chosen = probability >= np.float32(at)
        hits, said, support = (chosen & gold).sum(), chosen.sum(), gold.sum()
        rows.append([float(at), _ratio(hits, said), _ratio(hits, support), _ratio(2 * hits, said + support)])
    return {"threshold": threshold, "pr": [*points, [0.0, 1.0]], "thresholds": rows}


def _calibration(gold: NDArray[np.bool_], probability: NDArray[np.float32], taxonomy: Taxonomy) -> dict[str, Any]:
    """Expected calibration error, and by bin of probability: its mean, the share that is right, how many."""
    bins = np.minimum((probability * metrics.ECE_BINS).astype(int), metrics.ECE_BINS - 1)
    diagram = []
    for number in range(metrics.ECE_BINS):
        inside = bins == number
        if inside.any():
            diagram.append([_round(probability[inside].mean()), _round(gold[inside].mean()), int(inside.sum())])
    return {
        "ece": _round(metrics.calibration_error(probability, gold)),
        "ece_by_facet": metrics.calibration_errors(probability, gold, taxonomy),
        "bins": diagram,
    }


def _confusion(gold: NDArray[np.bool_], chosen: NDArray[np.bool_], taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """Pairs of labels of which the first was missed where the second was wrongly given, the commonest first."""
    pairs = (gold & ~chosen).astype(int).T @ (~gold & chosen).astype(int)
    order = np.argsort(-pairs, axis=None, kind="stable")
    cells = [np.unravel_index(flat, pairs.shape) for flat in order[: len(taxonomy)]]
    return [
        {"missed": taxonomy.ids[i], "given": taxonomy.ids[j], "paragraphs": int(pairs[i, j])}
        for i, j in cells
        if pairs[i, j]
    ]


def _slices(
    rows: Sequence[Annotation], gold: NDArray[np.bool_], chosen: NDArray[np.bool_], resamples: int, seed: int
) -> dict[str, list[dict[str, Any]]]:
    report: dict[str, list[dict[str, Any]]] = {}
    for name, of in slices.SLICES.items():
        report[name] = []
        for value, inside in slices.values(rows, of).items():
            own = Bootstrap.draw([row.doc for row, is_in in zip(rows, inside, strict=True) if is_in], resamples, seed)
            counts = own.counts(gold[inside], chosen[inside])
            total = counts.sum(axis=1)
            report[name].append(
                {
                    "value": value,
                    "paragraphs": int(inside.sum()),
                    "positives": int(gold[inside].sum()),
                    "micro_f1": _round(metrics.micro_f1(total)),
                    "micro_f1_ci": metrics.interval(metrics.micro_f1(own.resample(counts))),
                    "macro_f1": _round(metrics.macro_f1(total)),
                }
            )
    return report


def _errors(rows: Sequence[Annotation], gold: NDArray[np.bool_], model: Answers) -> list[dict[str, Any]]:
    """Wrong tags, the surest first: a missed label of probability 0.02 before one of 0.4."""
    limits = np.asarray(model.thresholds, dtype=np.float32)
    wrong = np.argwhere(gold != model.chosen)
    sureness = np.array([abs(model.probability[i, j] - limits[j]) for i, j in wrong])
    names = model.taxonomy.ids
    listed = []
    for number in np.argsort(-sureness, kind="stable")[:MAX_ERRORS]:
        i, j = wrong[number]
        row = rows[i]
        listed.append(
            {
                "id": row.id, "doc": row.doc, "text": row.text, "label": names[j],
                "error": "missed" if gold[i, j] else "extra",
                "probability": _round(model.probability[i, j]), "threshold": _round(limits[j]),
                "gold": [label for label, right in zip(names, gold[i], strict=True) if right],
                "given": [label for label, said in zip(names, model.chosen[i], strict=True) if said],
            }
        )  # fmt: skip
    return listed


def _comparison(
    rows: Sequence[Annotation], gold: NDArray[np.bool_], model: Answers, other: Answers, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Model minus other, paired; groups and labels, and the paragraphs that one of them gets wholly right alone."""
    shared = [label for label in model.taxonomy.ids if label in other.taxonomy]
    if not shared:
        raise InputError("--compare: the models have no label in common; expected one of the same taxonomy")
    ours = [model.taxonomy.column(label) for label in shared]
    theirs = [other.taxonomy.column(label) for label in shared]
    taxonomy = Taxonomy(model.taxonomy.version, tuple(model.taxonomy.labels[i] for i in ours))
    gold, mine, yours = gold[:, ours], model.chosen[:, ours], other.chosen[:, theirs]
    a, b = bootstrap.counts(gold, mine), bootstrap.counts(gold, yours)
    drawn = metrics.f1(bootstrap.resample(a)), metrics.f1(bootstrap.resample(b))
    gains = np.nan_to_num(drawn[0]) - np.nan_to_num(drawn[1])
    point = np.nan_to_num(metrics.f1(a.sum(axis=1))) - np.nan_to_num(metrics.f1(b.sum(axis=1)))
    right, before = (gold == mine).all(axis=1), (gold == yours).all(axis=1)
    return {
        "model": other.version,
        "groups": metrics.difference(a, b, taxonomy, bootstrap),
        "labels": {
            label: {"f1": _round(point[i]), "f1_ci": metrics.interval(gains[:, i])} for i, label in enumerate(shared)
        },
        "only_ours_right": int((right & ~before).sum()),
        "only_theirs_right": int((before & ~right).sum()),
        "broken": [rows[int(i)].id for i in np.flatnonzero(before & ~right)],
    }


def headline(report: Mapping[str, Any]) -> str:
    """One line for the terminal."""
    figures = report["figures"]["groups"]["all"]
    low, high = figures["macro_f1_ci"]
    line = f"{report['model']}: macro-F1 {figures['macro_f1']:.3f} ({low:.3f} to {high:.3f})"
    line += f" on {report['paragraphs']} paragraphs"
    if "comparison" in report:
        gain = report["comparison"]["groups"]["all"]
        low, high = gain["macro_f1_ci"]
        line += f"; {gain['macro_f1']:+.3f} ({low:+.3f} to {high:+.3f}) against {report['comparison']['model']}"
    return line


def _ratio(part: Any, whole: Any) -> float:
    return _round(part / whole) if whole else 0.0


def _round(value: Any) -> float:
    return round(float(value), 4)
