"""Rows of JSONL files: read, with the place of every problem, and written. Knows no keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from policytag.errors import InputError

Row = dict[str, Any]


def read(path: Path) -> Iterator[tuple[str, Row]]:
    """The rows of a file, each with its place: ``("a.jsonl:17", {…})``.

    Raises:
        InputError: Naming the file, and the line if it is one line's fault.
    """
    for place, line in lines(path):
        try:
            yield place, parse(line)
        except InputError as error:
            raise InputError(f"{place}: {error}") from None


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """The lines of a file that are not blank, each with its place.

    Raises:
        InputError: If the file cannot be read or is not UTF-8.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; expected UTF-8, convert the file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a JSONL file") from None
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            yield f"{path}:{number}", line


def parse(line: str) -> Row:
    r"""The object in a line.

    Raises:
        InputError: If there is none, or a text in it holds half a character (``"\ud83d"``), which no file can.
    """
    try:
        row = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InputError("holds half of a surrogate pair; expected whole characters") from None
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON ({error.msg} at column {error.colno}); expected one object a line") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets without end
        raise InputError(f"JSON that cannot be read ({error}); expected one object a line") from None
    if not isinstance(row, dict):
        raise InputError(f"holds {shown(row)}; expected one object a line")
    return row


def shown(value: Any) -> str:
    """A value as an error message quotes it: as JSON, cut after forty characters."""
    return json.dumps(value, ensure_ascii=False)[:40]


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes one line a row; the folder is made where missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
