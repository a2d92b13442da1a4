"""Annotated paragraphs: read, validate, turn into columns. Knows neither encoders nor splits.

A row is a JSON object ``{"id", "doc", "text", "instruments": [], "industries": []}``; other keys are
ignored. Instead of the two lists a row may carry ``"targets": {label_id: probability}``: another model's soft labels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policytag.errors import InputError, TaxonomyError
from policytag.taxonomy import Taxonomy
from policytag.text import is_blank

LISTS = {"instruments": "instrument", "industries": "industry"}
"""Key of a row -> the facet whose labels it lists."""
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
    """

    id: str
    doc: str
    text: str
    targets: tuple[float, ...]


def read(files: Sequence[Path], taxonomy: Taxonomy) -> list[Annotation]:
    """Reads annotation files in the order given.

    Raises:
        InputError: Listing every problem of every file, one line each:
            ``a.jsonl:17: unknown label 'tax'; did you mean 'talent'? (taxonomy version 1)``.
    """
    rows: list[Annotation] = []
    problems: list[str] = []
    seen: dict[str, str] = {}
    for file in files:
        for where, line in _lines(file, problems):
            found, row = _parse(line, taxonomy)
            problems += [f"{where}: {problem}" for problem in found]
            if row is None:
                continue
            if row.id in seen:
                problems.append(f"{where}: id '{row.id}' occurs at {seen[row.id]} too; expected unique ids, remove one")
                continue
            seen[row.id] = where
            rows.append(row)
    if problems:
        raise InputError(_listing(problems))
    if not rows:
        raise InputError(f"{', '.join(map(str, files))}: no rows; expected one JSON object a line")
    return rows


def _listing(problems: Sequence[str]) -> str:
    rest = len(problems) - MAX_LISTED
    more = [f"... and {rest} more problems"] if rest > 0 else []
    return "\n".join([*problems[:MAX_LISTED], *more])


def _lines(file: Path, problems: list[str]) -> Iterator[tuple[str, str]]:
    try:
        content = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        problems.append(f"{file}: byte {error.start} is not UTF-8; expected UTF-8, convert the file")
        return
    except OSError as error:
        problems.append(f"{file}: cannot be read ({error.strerror}); expected a JSONL file of annotations")
        return
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            yield f"{file}:{number}", line


def _parse(line: str, taxonomy: Taxonomy) -> tuple[list[str], Annotation | None]:
    """The problems of one line, or else its row."""
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        return [f"not JSON ({error.msg} at column {error.colno}); expected one object a line"], None
    if not isinstance(data, dict):
        return [f"holds {_kind(data)}; expected an object with id, doc, text, instruments, industries"], None
    problems = [
        f"key '{key}' is {_kind(data.get(key))}; expected a text that is not blank"
        for key in ("id", "doc", "text")
        if not isinstance(data.get(key), str) or is_blank(data[key])
    ]
    found, targets = _soft(data["targets"], taxonomy) if "targets" in data else _hard(data, taxonomy)
    problems += found
    if problems:
        return problems, None
    return [], Annotation(data["id"], data["doc"], data["text"], tuple(targets))


def _hard(data: Mapping[str, Any], taxonomy: Taxonomy) -> tuple[list[str], list[float]]:
    problems: list[str] = []
    targets = [0.0] * len(taxonomy)
    for key, facet in LISTS.items():
        labels = data.get(key)
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            problems.append(f"key '{key}' is {_kind(labels)}; expected a list of label ids, [] where none applies")
            continue
        for label in labels:
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


def _soft(given: Any, taxonomy: Taxonomy) -> tuple[list[str], list[float]]:
    if not isinstance(given, dict):
        return [f"key 'targets' is {_kind(given)}; expected an object of label ids and probabilities"], []
    problems: list[str] = []
    targets = [0.0] * len(taxonomy)
    for label, value in given.items():
        if label not in taxonomy:
            problems += [problem for problem in [_label_problem(label, "", taxonomy)] if problem]
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            problems.append(f"target of '{label}' is {value!r}; expected a probability, 0 to 1")
        else:
            targets[taxonomy.column(label)] = float(value)
    return problems, targets


def _kind(value: Any) -> str:
    names = {str: "a blank text", list: "a list with other things than texts", dict: "an object", bool: "true or false"}
    return "missing" if value is None else names.get(type(value), f"{value!r}")


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
        InputError: If a document is in no row, so that a misspelt name does not pass for an exclusion.
    """
    unknown = sorted(set(docs) - set(documents(rows)))
    if unknown:
        raise InputError(f"--exclude-doc: no annotation has doc '{unknown[0]}'; expected one of the documents' names")
    return [row for row in rows if row.doc not in set(docs)]
