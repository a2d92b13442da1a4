"""How far annotators agree: κ and F1 by label, and where they do not. Knows no models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policytag.errors import InputError
from policytag.taxonomy import Taxonomy
from training import annotations
from training.annotations import Annotation, gold_matrix
from training.jsonl import Row


def read(files: Sequence[Path], taxonomy: Taxonomy) -> dict[str, dict[str, Annotation]]:
    """Paragraph id -> annotator -> what she said.

    An annotator is the key ``annotator`` of a row, as ``import --resolve all`` writes it, else the name of the file.

    Raises:
        InputError: On a bad row, or if no paragraph has two annotators.
    """
    said: dict[str, dict[str, Annotation]] = defaultdict(dict)
    for file in files:
        for row in annotations.read([file], taxonomy, unique=False):
            name = str(row.extra.get("annotator", file.stem))
            if name in said[row.id]:
                raise InputError(
                    f"{row.place}: '{name}' judged '{row.id}' at {said[row.id][name].place} already; remove one"
                )
            said[row.id][name] = row
    if all(len(rows) < 2 for rows in said.values()):
        raise InputError(
            f"{', '.join(map(str, files))}: no paragraph has two annotators; expected a file for each, "
            "with the same ids, or rows with the key 'annotator'"
        )
    return said


def agreement(said: Mapping[str, Mapping[str, Annotation]], taxonomy: Taxonomy) -> dict[str, Any]:
    """Figures over all pairs of annotators of all paragraphs.

    Returns:
        ``{"paragraphs", "pairs", "labels": {id: {"kappa", "f1", "both", "one"}}, "macro_kappa", "macro_f1",
        "disagreements": [row with "said": {annotator: labels}]}``; None for a figure that is not defined.
    """
    pairs = [pair for rows in said.values() for pair in combinations([rows[name] for name in sorted(rows)], 2)]
    one, two = (gold_matrix([pair[side] for pair in pairs]) for side in (0, 1))
    labels = {label: _label(one[:, i], two[:, i]) for i, label in enumerate(taxonomy.ids)}
    return {
        "paragraphs": sum(len(rows) > 1 for rows in said.values()),
        "pairs": len(pairs),
        "labels": labels,
        "macro_kappa": _mean(labels, "kappa"),
        "macro_f1": _mean(labels, "f1"),
        "disagreements": [
            _row(rows, taxonomy) for rows in said.values() if len({r.targets for r in rows.values()}) > 1
        ],
    }


def _label(one: NDArray[np.bool_], two: NDArray[np.bool_]) -> dict[str, Any]:
    """Cohen's κ (Cohen 1960) and F1 of two annotators, which is the same whoever counts as right.

    Of ten paragraphs both give a label to 2, one alone to 1: κ = (0.9 - 0.62) / (1 - 0.62) = 0.737, F1 = 4 / 5.
    """
    both, single = int((one & two).sum()), int((one ^ two).sum())
    seen = float((one == two).mean())
    chance = float(one.mean() * two.mean() + (1 - one.mean()) * (1 - two.mean()))
    return {
        "kappa": round((seen - chance) / (1 - chance), 4) if chance < 1 else None,
        "f1": round(2 * both / (2 * both + single), 4) if both + single else None,
        "both": both,
        "one": single,
    }


def _mean(labels: Mapping[str, Mapping[str, Any]], key: str) -> float | None:
    known = [figures[key] for figures in labels.values() if figures[key] is not None]
    return round(float(np.mean(known)), 4) if known else None


def _row(rows: Mapping[str, Annotation], taxonomy: Taxonomy) -> Row:
    first = next(iter(rows.values()))
    said = {name: [i for i, t in zip(taxonomy.ids, row.targets, strict=True) if t >= 0.5] for name, row in rows.items()}
    union = {label for labels in said.values() for label in labels}
    return {
        "id": first.id,
        "doc": first.doc,
        "text": first.text,
        "said": said,
        "suggested": [i for i in taxonomy.ids if i in union],
    }


def render(report: Mapping[str, Any]) -> str:
    """The figures as plain text."""
    lines = [f"{report['paragraphs']} paragraphs, {report['pairs']} pairs of judgements", ""]
    lines.append(f"{'label':<26}{'kappa':>8}{'F1':>8}{'both':>7}{'one only':>10}")
    for label, f in report["labels"].items():
        lines.append(f"{label:<26}{_figure(f['kappa']):>8}{_figure(f['f1']):>8}{f['both']:>7}{f['one']:>10}")
    lines.append(f"{'mean':<26}{_figure(report['macro_kappa']):>8}{_figure(report['macro_f1']):>8}")
    lines += ["", f"{len(report['disagreements'])} paragraphs with different labels"]
    return "\n".join(lines) + "\n"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
