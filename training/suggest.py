"""``policytag-train suggest``: unlabelled documents in, paragraphs to label next out. The order of steps, no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policytag.errors import InputError
from policytag.segmentation import segment
from policytag.tagger import Tagger
from policytag.taxonomy import Taxonomy
from policytag.text import is_blank, normalise
from training import jsonl, linear, suggestion
from training.annotations import Annotation, gold_matrix
from training.evaluation import Answers
from training.jsonl import Row

SUGGESTED_FROM = 0.5
"""Probability of the linear model from which a label is suggested to the annotator."""


def suggest(
    files: Sequence[Path], rows: Sequence[Annotation], taxonomy: Taxonomy, model: Path | None, number: int, seed: int
) -> list[Row]:
    """The paragraphs to label, the most uncertain first, as `export` takes them.

    Raises:
        InputError: If nothing is left to choose from.
    """
    known = {normalise(row.text) for row in rows}
    found = {normalise(row["text"]): row for file in files for row in _paragraphs(file)}
    pool = [row for text, row in found.items() if text not in known and not is_blank(row["text"])]
    if not pool:
        raise InputError(f"{', '.join(map(str, files))}: no paragraph that is not labelled yet; give other documents")
    texts, gold = [row["text"] for row in pool], gold_matrix(rows)
    matrix = linear.features([row.text for row in rows] + texts)
    if model:
        answers = Answers(Tagger.load(model), [Annotation(r["id"], r["doc"], r["text"], ()) for r in pool])
        probability, chosen, version = _shared(answers, taxonomy)
    else:
        probability = linear.probabilities(matrix[: len(rows)], gold, matrix[len(rows) :])
        chosen, version = probability >= SUGGESTED_FROM, "linear"
    taken = suggestion.choose(matrix[len(rows) :], probability, gold.sum(axis=0), number, seed)
    return [
        pool[i] | {"suggested": [x for x, yes in zip(taxonomy.ids, chosen[i], strict=True) if yes], "model": version}
        for i in taken
    ]


def _shared(answers: Answers, taxonomy: Taxonomy) -> tuple[NDArray[np.float32], NDArray[np.bool_], str]:
    """A model's answers in the columns of a taxonomy; of a label that it does not know it is wholly unsure."""
    probability = np.full((len(answers.probability), len(taxonomy)), 0.5, dtype=np.float32)
    chosen = np.zeros(probability.shape, dtype=np.bool_)
    for column, label in enumerate(taxonomy.ids):
        if label in answers.taxonomy:
            probability[:, column] = answers.probability[:, answers.taxonomy.column(label)]
            chosen[:, column] = answers.chosen[:, answers.taxonomy.column(label)]
    return probability, chosen, answers.version


def _paragraphs(file: Path) -> list[Row]:
    if file.suffix == ".jsonl":
        rows = []
        for place, row in jsonl.read(file):
            if not all(isinstance(row.get(key), str) for key in ("id", "doc", "text")):
                raise InputError(f"{place}: no id, doc and text; expected a paragraph a line")
            rows.append({key: value for key, value in row.items() if key not in ("instruments", "industries")})
        return rows
    try:
        document = segment(file.read_text(encoding="utf-8-sig"), file.name)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as UTF-8 text ({error}); expected .txt or .jsonl") from None
    return [
        {"id": f"{file.name}#{p.index}", "doc": file.name, "text": p.text}
        for p in document.paragraphs
        if p.kind != "furniture"
    ]


def render(curves: Mapping[str, Any]) -> str:
    """Learning curves as a table: means over the seeds."""
    lines = [
        f"{'':>10}{'macro-F1':^27}{'mAP':^27}".rstrip(),
        f"{'labelled':>10}" + f"{'chosen':>9}{'random':>9}{'gain':>9}" * 2,
    ]
    means = [np.mean(curves[way][key], axis=0) for key in ("macro_f1", "map") for way in ("chosen", "random")]
    for number, f, g, m, n in zip(curves["labelled"], *means, strict=True):
        lines.append(f"{number:>10}{f:>9.3f}{g:>9.3f}{f - g:>+9.3f}{m:>9.3f}{n:>9.3f}{m - n:>+9.3f}")
    return "\n".join(lines) + "\n"
