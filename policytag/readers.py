"""Files to paragraphs, as a stream in which everything unreadable has its place. Knows nothing of models.

Reads ``.txt`` (UTF-8, UTF-16 with BOM, GB18030), ``.jsonl`` with ``id`` and ``text`` (and, where wanted, ``doc`` and
``headings``), and folders of both.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from policytag.errors import InputError
from policytag.segmentation import segment
from policytag.text import Document, Paragraph, is_blank

SUFFIXES = (".txt", ".jsonl")
MAX_FILE_BYTES = 64 * 1024 * 1024
"""Largest ``.txt`` that is read; ``.jsonl`` is streamed, and only its lines have a limit."""
MAX_LINE_BYTES = 16 * 1024 * 1024
"""Longest line of a ``.jsonl`` that is read."""
MIN_READABLE_SHARE = 0.9
"""A decoding in which fewer of the characters are letters, digits, marks or blanks is taken for a wrong one."""
SHOWN_CHARS = 60
"""What an error quotes of a value, which may be of any length."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something that could not be read.

    Attributes:
        source: The file.
        doc: The file's document name, see `document_names`.
        line: 1-based line in it, or None for the whole file.
        id: The row's id where it had one.
        reason: What came, what was expected and how to mend it.
    """

    source: str
    doc: str
    line: int | None
    id: str | None
    reason: str

    def __str__(self) -> str:
        where = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{where}: {self.reason}"


def find_files(inputs: Sequence[Path]) -> list[Path]:
    """The files to read, each once however it is named or linked to, folders expanded recursively in name order.

    Raises:
        InputError: If an input does not exist or a folder holds nothing readable.
    """
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
            if not found:
                raise InputError(f"{path}: no {' or '.join(SUFFIXES)} file in this folder")
            files += found
        elif path.exists():
            files.append(path)
        else:
            raise InputError(f"{path}: no such file or folder")
    unique: dict[Path, Path] = {}
    for path in files:
        unique.setdefault(path.resolve(), path)
    return list(unique.values())


def document_names(files: Sequence[Path]) -> list[str]:
    """A distinct name for each file: its own, with as many parent folders as tell it from its namesakes.

    ``a/x.txt, b/x.txt, y.txt`` -> ``a/x.txt, b/x.txt, y.txt``.
    """
    names = [path.name for path in files]
    depth = 1
    while len(set(names)) < len(set(files)) and depth < 64:
        depth += 1
        uses = Counter(names)
        names = ["/".join(p.parts[-depth:]) if uses[n] > 1 else n for p, n in zip(files, names, strict=True)]
    return names


def read_paragraphs(files: Sequence[Path]) -> Iterator[Paragraph | Rejected]:
    """Every paragraph of every file in order; a row or file that cannot be read comes as `Rejected` in its place.

    Ids are unique over the whole stream: a second row with the same id is rejected.
    """
    seen: dict[str, str] = {}
    for path, name in zip(files, document_names(files), strict=True):
        for line, item in _read(path, name):
            if isinstance(item, Paragraph):
                if item.id in seen:
                    reason = f"duplicate id '{_shown(item.id)}', first at {seen[item.id]}; rename one"
                    item = Rejected(str(path), name, line, item.id, reason)
                else:
                    seen[item.id] = str(path) if line is None else f"{path}:{line}"
            yield item


def _read(path: Path, name: str) -> Iterator[tuple[int | None, Paragraph | Rejected]]:
    """What a file holds, each with its line where lines are rows."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".jsonl":
            yield from _read_jsonl(path, name)
        elif suffix == ".txt":
            for paragraph in read_text_file(path, name).paragraphs:
                yield None, paragraph
        else:
            raise InputError(f"{path}: file type '{suffix}' is not read; expected {' or '.join(SUFFIXES)}")
    except InputError as error:
        yield None, Rejected(str(path), name, None, None, str(error).removeprefix(f"{path}: "))
    except OSError as error:
        reason = f"cannot be read ({error.strerror}); check path and permissions"
        yield None, Rejected(str(path), name, None, None, reason)


def read_text_file(path: Path, name: str | None = None) -> Document:
    """Reads and cuts one ``.txt`` document.

    Raises:
        InputError: If it is too large, in no known encoding, or empty.
        OSError: If it cannot be opened.
    """
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise InputError(f"{path}: {size} bytes; expected at most {MAX_FILE_BYTES}. Split the file")
    text = decode(path.read_bytes(), str(path))
    if is_blank(text):
        raise InputError(f"{path}: empty document; expected at least one line of text")
    return segment(text, name or path.name, str(path))


def decode(data: bytes, where: str) -> str:
    """Bytes to text: UTF-8 or UTF-16 by byte order mark, else UTF-8, else GB18030 if the result reads like text.

    Raises:
        InputError: If none fits.
    """
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    candidates = ("utf-16",) if wide else ("utf-8-sig", "gb18030")
    for encoding in candidates:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if _readable(text):
            return text
    raise InputError(f"{where}: unknown encoding; expected UTF-8, UTF-16 with BOM or GB18030. Save it as UTF-8")


def _readable(text: str) -> bool:
    sample = text[:20_000]
    if not sample:
        return True
    odd = sum(1 for char in sample if _odd(char))
    return odd <= (1 - MIN_READABLE_SHARE) * len(sample)


def _odd(char: str) -> bool:
    if char in "\n\r\t\f\v" or "\u4e00" <= char <= "\u9fff":
        return False
    return unicodedata.category(char) in {"Cc", "Co", "Cn", "Cs"} or "\uac00" <= char <= "\ud7ff"


def _read_jsonl(path: Path, name: str) -> Iterator[tuple[int, Paragraph | Rejected]]:
    index = rejected = 0
    with path.open("rb") as file:
        for number, raw in enumerate(_lines(file), start=1):
            if not raw.strip():
                continue
            try:
                yield number, _paragraph(raw.rstrip(b"\r\n"), name, index)
                index += 1
            except _RowError as error:
                yield number, Rejected(str(path), name, number, error.row_id, str(error))
                rejected += 1
    if not index + rejected:
        raise InputError(f"{path}: empty file; expected one JSON object with 'id' and 'text' a line")


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; of one over `MAX_LINE_BYTES` a piece that is too long by a byte, the rest is passed over."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        yield line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES + 1)


class _RowError(Exception):
    def __init__(self, reason: str, row_id: str | None = None) -> None:
        super().__init__(reason)
        self.row_id = row_id


def _paragraph(raw: bytes, name: str, index: int) -> Paragraph:
    row = _object(raw)
    row_id, text = _name(row.get("id")), row.get("text")
    if row_id is None:
        raise _RowError(f"'id' is {_shown(row.get('id'))}; expected a non-empty string or a whole number")
    if not isinstance(text, str):
        raise _RowError(f"'text' is {type(text).__name__ if 'text' in row else 'missing'}; expected a string", row_id)
    if is_blank(text):
        raise _RowError("'text' is blank; expected at least one readable character", row_id)
    doc = _name(row.get("doc", name))
    if doc is None:
        raise _RowError(f"'doc' is {_shown(row['doc'])}; leave it out or mend it", row_id)
    headings = row.get("headings", [])
    if not isinstance(headings, list) or not all(isinstance(heading, str) for heading in headings):
        raise _RowError("'headings' is not a list of strings; leave it out or mend it", row_id)
    return Paragraph(row_id, doc, index, text, tuple(headings))


def _object(raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_LINE_BYTES:
        raise _RowError(f"over {MAX_LINE_BYTES} bytes; expected one paragraph a line")
    try:
        row = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _RowError(f"not UTF-8 (byte {error.start}); save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise _RowError(f"not JSON (column {error.colno}: {error.msg}); expected one object a line") from None
    except RecursionError:
        raise _RowError("not JSON (nested too deep); expected one object a line") from None
    except ValueError:  # Python turns no more than 4,300 digits into a number
        raise _RowError("not JSON (a number of too many digits); expected one object a line") from None
    if not isinstance(row, dict):
        raise _RowError(f"a JSON {type(row).__name__}; expected an object with 'id' and 'text'")
    return row


def _name(value: Any) -> str | None:
    """A non-empty string, or a whole number as one; None if it is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _shown(value: Any) -> str:
    """``null``, ``[1, 2]``; a string without its quotes; cut where it is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
