"""Labels that are kept apart from their text, joined with it again. Knows no taxonomy.

Some text may be learnt from but not published with the labels. Its rows carry ``text_sha256``, the SHA-256 of the
stripped paragraph in UTF-8, in the place of ``text``; whoever has the text gets ordinary annotations back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from policytag.errors import InputError
from training import jsonl
from training.annotations import LISTS
from training.jsonl import Row
from training.pretraining.text import read_paragraphs, text_files

KEY = "text_sha256"


def digest(text: str) -> str:
    """What stands for a paragraph: SHA-256 of its stripped UTF-8."""
    return hashlib.sha256(text.strip().encode()).hexdigest()


def read_apart(files: Sequence[Path]) -> dict[str, Row]:
    """Digest -> the row's other keys; of two rows for one text the later wins.

    Raises:
        InputError: Naming the file and line of a row that is not JSON or lacks ``text_sha256`` or a list of labels.
    """
    labels: dict[str, Row] = {}
    for file in files:
        for place, row in jsonl.read(file):
            missing = [key for key in (KEY, *LISTS) if key not in row]
            if missing:
                raise InputError(f"{place}: no '{missing[0]}'; expected {', '.join([KEY, *LISTS])}")
            labels[str(row.pop(KEY))] = row
    return labels


def attach(labels: Mapping[str, Row], texts: Sequence[Path]) -> tuple[list[Row], int]:
    """Annotation rows, and how many of the labelled texts were found.

    Of text files each labelled text becomes a row, once. Of ``.jsonl`` files every row stays, with its ``id``, ``doc``
    and other keys; its labels are the new ones where there are any.
    """
    rows: list[Row] = []
    found: set[str] = set()
    for path in texts:
        if path.suffix == ".jsonl":
            rows += _relabelled(path, labels, found)
            continue
        for _, paragraph in read_paragraphs(text_files([path])):
            key = digest(paragraph)
            if key in labels and key not in found:
                found.add(key)
                rows.append({**labels[key], "text": paragraph})
    return rows, len(found)


def _relabelled(path: Path, labels: Mapping[str, Row], found: set[str]) -> Iterator[Row]:
    """The rows of a ``.jsonl`` file; adds the digests that ``labels`` has to ``found``."""
    for place, row in jsonl.read(path):
        if not isinstance(row.get("text"), str):
            raise InputError(f"{place}: no 'text'; expected annotated rows")
        key = digest(row["text"])
        if key in labels:
            found.add(key)
            row.pop("targets", None)  # soft labels would go before the lists
            row.update((name, labels[key][name]) for name in LISTS)
        yield row
