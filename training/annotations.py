"""Annotated paragraphs: read, validate, turn into columns. Knows neither encoders nor splits.

A row is a JSON object ``{"id", "doc", "text", "instruments": [], "industries": []}``; other keys are kept as they are.
Instead of the two lists a row may carry ``"targets": {label_id: probability}``: another model's soft labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policytag.errors import InputError, TaxonomyError
from policytag.taxonomy import Taxonomy
from policytag.text import is_blank
from training import jsonl
from training.jsonl import Row, shown

LISTS = {"instruments": "instrument", "industries": "industry"}
"""Key of a row -> the facet whose labels it lists."""
_OWN = ("id", "doc", "text", "targets", *LISTS)
MAX_LISTED = 50
"""Problems printed before the rest is only counted."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotated paragraph.

    Attributes:
        id: Unique over all files of a run.
        doc: The document it was taken from; splits keep documents whole.
        text: As it stands in the document.
        targets: One probability a label in column order; 0 or 1 where a person decided.
        place: Where it stands: ``a.jsonl:17``.
        extra: The row's other keys.
        soft: Whether the targets are another model's opinion.
    """

    id: str
    doc: str
    text: str
    targets: tuple[float, ...]
    place: str = field(default="", compare=False)
    extra: Mapping[str, Any] = field(default_factory=dict, compare=False)
    soft: bool = field(default=False, compare=False)


def read(files: Sequence[Path], taxonomy: Taxonomy, *, unique: bool = True) -> list[Annotation]:
    """Reads annotation files in the order given.

    Args:
        unique: Whether an id may occur once only; several annotators' rows of one paragraph share theirs.

    Raises:
        InputError: Listing every problem of every file, one line each:
            ``a.jsonl:17: unknown label 'tax'; did you mean 'talent'? (taxonomy version 1)``.
    """
    rows, problems = scan(files, taxonomy, unique=unique)
    if problems:
        raise InputError(_listing(problems))
    if not rows:
        raise InputError(f"{', '.join(map(str, files))}: no rows; expected one JSON object a line")
    return rows


def scan(files: Sequence[Path], taxonomy: Taxonomy, *, unique: bool = True) -> tuple[list[Annotation], list[str]]:
    """The rows that are right, and every problem of the others, one line each with its place."""
    rows: list[Annotation] = []
    problems: list[str] = []
    seen: dict[str, str] = {}
    for where, line in _lines(files, problems):
        found, row = _parse(where, line, taxonomy)
        problems += [f"{where}: {problem}" for problem in found]
        if row is None:
            continue
        if unique and row.id in seen:
            problems.append(f"{where}: id '{row.id}' occurs at {seen[row.id]} too; expected unique ids, remove one")
            continue
        seen[row.id] = where
        rows.append(row)
    return rows, problems


def _listing(problems: Sequence[str]) -> str:
    rest = len(problems) - MAX_LISTED
    more = [f"... and {rest} more problems"] if rest > 0 else []
    return "\n".join([*problems[:MAX_LISTED], *more])


def _lines(files: Sequence[Path], problems: list[str]) -> Iterator[tuple[str, str]]:
    for file in files:
        try:
            yield from jsonl.lines(file)
        except InputError as error:
            problems.append(str(error))


def _parse(where: str, line: str, taxonomy: Taxonomy) -> tuple[list[str], Annotation | None]:
    """The problems of one line, or else its row."""
    try:
        data = jsonl.parse(line)
    except InputError as error:
        return [str(error)], None
    problems = [
        f"key '{key}' is {_given(data, key)}; expected a text that is not blank"
        for key in ("id", "doc", "text")
        if not isinstance(data.get(key), str) or is_blank(data[key])
    ]
    found, targets = _soft(data, taxonomy) if "targets" in data else _hard(data, taxonomy)
    problems += found
    if problems:
        return problems, None
    extra = {key: value for key, value in data.items() if key not in _OWN}
    return [], Annotation(data["id"], data["doc"], data["text"], tuple(targets), where, extra, "targets" in data)


def _hard(data: Row, taxonomy: Taxonomy) -> tuple[list[str], list[float]]:
    if all(data.get(key) is None for key in LISTS):
        return [f"is not labelled; expected {' and '.join(LISTS)}, [] where nothing applies"], []
    problems: list[str] = []
    targets = [0.0] * len(taxonomy)
    for key, facet in LISTS.items():
        labels = data.get(key)
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            problems.append(f"key '{key}' is {_given(data, key)}; expected a list of label ids, [] where none applies")
            continue
        for label in labels:
            if label in taxonomy.retired:
                continue
            problem = _label_problem(label, facet, taxonomy)
            if problem:
                problems.append(problem)
            else:
                targets[taxonomy.column(label)] = 1.0
    return problems, targets


def _label_problem(label: str, facet: str, taxonomy: Taxonomy) -> str | None:
    try:
        own = taxonomy[label].facet
    except TaxonomyError as error:
        return str(error)
    if own != facet:
        right = next(key for key, value in LISTS.items() if value == own)
        return f"label '{label}' is no {facet}; expected it under '{right}', move it there"
    return None


def _soft(data: Row, taxonomy: Taxonomy) -> tuple[list[str], list[float]]:
    given = data["targets"]
    if not isinstance(given, dict):
        return [f"key 'targets' is {shown(given)}; expected an object of label ids and probabilities"], []
    problems: list[str] = []
    targets = [0.0] * len(taxonomy)
    for label, value in given.items():
        try:
            column = taxonomy.column(label)
        except TaxonomyError as error:
            problems.append(str(error))
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            problems.append(f"target of '{label}' is {shown(value)}; expected a probability, 0 to 1")
        else:
            targets[column] = float(value)
    return problems, targets


def _given(data: Row, key: str) -> str:
    """What a row has under a key, as an error message says it."""
    if key not in data:
        return "missing"
    value = data[key]
    return "a blank text" if isinstance(value, str) and is_blank(value) else shown(value)


def target_matrix(rows: Sequence[Annotation]) -> NDArray[np.float32]:
    """What the loss compares with. Shape: ``(n, L) float32`` in [0, 1]."""
    return np.array([row.targets for row in rows], dtype=np.float32)


def gold_matrix(rows: Sequence[Annotation]) -> NDArray[np.bool_]:
    """What metrics compare with; a soft target counts from one half. Shape: ``(n, L) bool``."""
    return target_matrix(rows) >= 0.5


def documents(rows: Sequence[Annotation]) -> list[str]:
    """The documents of rows, in order of first appearance."""
    return list(dict.fromkeys(row.doc for row in rows))


def without(rows: Sequence[Annotation], docs: Sequence[str]) -> list[Annotation]:
    """The rows that are in none of some documents.

    Raises:
        InputError: If a document is in no row, so that a misspelt name does not pass for an exclusion; if none is left.
    """
    unknown = sorted(set(docs) - set(documents(rows)))
    if unknown:
        raise InputError(f"--exclude-doc: no annotation has doc '{unknown[0]}'; expected one of the documents' names")
    left = [row for row in rows if row.doc not in set(docs)]
    if not left:
        raise InputError("--exclude-doc: names all documents; expected at least one to learn from")
    return left
