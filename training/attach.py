"""``policytag-train attach``: labels that are kept apart from their text, joined with it again.

Some text may be learnt from but not published with the labels. Its rows carry ``text_sha256``, the SHA-256 of the
stripped paragraph in UTF-8, in the place of ``text``; whoever has the text gets ordinary annotations back.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from policytag.errors import InputError
from training.pretraining.text import read_paragraphs, text_files

log = logging.getLogger(__name__)

KEY = "text_sha256"
Row = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--labels-apart", type=Path, nargs="+", required=True, metavar="FILE", help=f"rows with {KEY} instead of text")
    add(
        "--text",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help=".txt, .txt.xz: the lines that have labels; .jsonl: all rows, with newer labels where there are any",
    )
    add("--out", type=Path, required=True, metavar="FILE.jsonl", help="annotations to write")


def run(args: argparse.Namespace) -> int:
    labels = read_apart(args.labels_apart)
    found = 0
    with args.out.open("w", encoding="utf-8") as out:
        for row, attached in attach(labels, args.text):
            found += attached
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    log.info("%d of %d labelled texts found", found, len(labels))
    if not found:
        raise InputError(
            f"{args.text[0]}: none of the {len(labels)} labelled texts is in it; expected the text they fit"
        )
    return 0


def digest(text: str) -> str:
    """What stands for a paragraph: SHA-256 of its stripped UTF-8."""
    return hashlib.sha256(text.strip().encode("utf-8", "surrogatepass")).hexdigest()


def read_apart(files: Sequence[Path]) -> dict[str, Row]:
    """Digest -> the row's other keys; of two rows for one text the later wins.

    Raises:
        InputError: Naming the file and line of a row that is not JSON or lacks ``text_sha256``.
    """
    labels: dict[str, Row] = {}
    for file in files:
        for number, row in _rows(file):
            key = row.pop(KEY, None)
            if not isinstance(key, str):
                raise InputError(f"{file}:{number}: no '{KEY}'; expected the SHA-256 of the paragraph's text")
            labels[key] = row
    return labels


def attach(labels: Mapping[str, Row], texts: Sequence[Path]) -> Iterator[tuple[Row, bool]]:
    """Annotation rows, and whether their labels came from ``labels``; each labelled text once.

    A row of a ``.jsonl`` file keeps its ``id``, ``doc`` and other keys.
    """
    left = dict(labels)
    for path in texts:
        if path.suffix == ".jsonl":
            for number, row in _rows(path):
                if not isinstance(row.get("text"), str):
                    raise InputError(f"{path}:{number}: no 'text'; expected annotated rows")
                newer = left.pop(digest(row["text"]), None)
                yield ({**row, **_label_sets(newer)} if newer else row), newer is not None
            continue
        for _, paragraph in read_paragraphs(text_files([path])):
            row = left.pop(digest(paragraph), None)
            if row is not None:
                yield {**row, "text": paragraph}, True


def _label_sets(row: Row) -> Row:
    return {key: row[key] for key in ("instruments", "industries")}


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a JSONL file") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}:{number}: not JSON ({error}); expected one object a line") from None
            if not isinstance(row, dict):
                raise InputError(f"{path}:{number}: not an object; expected one object a line")
            yield number, row
