"""What reading a file gives, as objects and as JSON between the two processes that read it. Knows no format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policytag.text import Document, Paragraph

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one file may cost. See the table of limits in the README.

    Attributes:
        file_bytes: Largest document, packed; files of rows (.jsonl .csv .tsv .parquet) are streamed and have no limit.
        unpacked_bytes: Largest sum of the parts of a .docx, .xlsx or .zip, unpacked.
        memory_bytes: Address space of the process that reads.
        seconds: Time for one document, or between two batches of rows; waiting for the reader's user is not counted.
        members: Files in one .zip.
    """

    file_bytes: int = 64 * MIB
    unpacked_bytes: int = 512 * MIB
    memory_bytes: int = 1024 * MIB
    seconds: int = 50
    members: int = 10_000


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a user says about files whose rows are paragraphs.

    Attributes:
        text_column: The column that holds the text; None looks for one of the usual names.
        id_column: The column that holds the rows' ids; None takes ``id`` where there is one.
    """

    text_column: str | None = None
    id_column: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something that could not be read.

    Attributes:
        source: The file.
        doc: The file's document name, see `policytag.readers.sources.document_names`.
        line: 1-based line or row in it, or None for the whole file.
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


@dataclass(frozen=True, slots=True)
class Row:
    """A paragraph that a file of rows brings.

    Attributes:
        paragraph: Its ``id`` is the file's own if ``own_id``.
        line: 1-based line or row.
        own_id: Whether the id came with the row; then another row may have the same.
    """

    paragraph: Paragraph
    line: int
    own_id: bool


Item = Paragraph | Row | Rejected


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """A whole file, read.

    Attributes:
        document: Its paragraphs in reading order.
        format: ``"pdf"``.
        encoding: Of a text format: ``"gb18030"``; else None.
        rejected: Rows that could not be read; always empty for a document.
    """

    document: Document
    format: str
    encoding: str | None
    rejected: tuple[Rejected, ...]


def to_json(item: Item) -> dict[str, Any]:
    """Plain values; `from_json` reads them back."""
    if isinstance(item, Rejected):
        return {"line": item.line, "id": item.id, "reason": item.reason}
    if isinstance(item, Row):
        return to_json(item.paragraph) | {"line": item.line, "own_id": item.own_id}
    data: dict[str, Any] = {"id": item.id, "doc": item.doc_id, "index": item.index, "text": item.text}
    if item.headings:
        data["headings"] = item.headings
    if item.lines:
        data["lines"] = item.lines
    return data | {"kind": item.kind}


def from_json(data: Mapping[str, Any], source: str, doc: str) -> Item:
    """What `to_json` was given; ``source`` and ``doc`` are the file's."""
    if "reason" in data:
        return Rejected(source, doc, data["line"], data["id"], data["reason"])
    paragraph = Paragraph(
        data["id"],
        data["doc"],
        data["index"],
        data["text"],
        tuple(data.get("headings", ())),
        data["kind"],
        tuple(data.get("lines", ())),
    )
    return Row(paragraph, data["line"], data["own_id"]) if "own_id" in data else paragraph
