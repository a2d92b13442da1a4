"""Files to paragraphs. Every file is read in another process under limits of memory and time. Knows nothing of models.

* `parse_file`, `parse_bytes`: one file, whole.
* `find_sources`, `read_source`: the files of a run, as a stream in which everything unreadable has its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from policytag.errors import InputError
from policytag.readers import formats, sandbox
from policytag.readers.items import Item, Limits, ParsedFile, ReadOptions, Rejected, Row, from_json
from policytag.readers.sources import Source, document_names, find_sources
from policytag.text import Document, Paragraph

__all__ = [
    "Item",
    "Limits",
    "ParsedFile",
    "ReadOptions",
    "Reading",
    "Rejected",
    "Row",
    "Source",
    "document_names",
    "find_sources",
    "parse_bytes",
    "parse_file",
    "read_source",
]


def parse_file(path: Path, *, options: ReadOptions | None = None, limits: Limits | None = None) -> ParsedFile:
    """Reads a file whole. Safe to call from several threads.

    Args:
        path: A file in one of the formats of `policytag.readers.formats.SUFFIXES`; no archive.

    Raises:
        InputError: If it cannot be read, saying why; one line that begins with the path.

    Example:
        >>> parsed = parse_file(Path("notice.docx"))
        >>> [paragraph.text for paragraph in parsed.document.paragraphs]
        ['一、总体要求', '对企业给予补贴。']
    """
    return _parse(read_source(Source(path), path.name, options, limits), str(path), path.name)


def parse_bytes(
    data: bytes,
    name: str,
    *,
    media_type: str | None = None,
    options: ReadOptions | None = None,
    limits: Limits | None = None,
) -> ParsedFile:
    """Reads a file that is in memory, whole; `parse_file` for what arrives over a network.

    Args:
        name: The file's name; becomes the document's id, and its suffix tells the format where the content does not.
        media_type: Tells the format where the name has no suffix that is known: ``"text/html; charset=gbk"``.

    Raises:
        InputError: If it cannot be read, saying why; one line that begins with the name.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in formats.SUFFIXES and media_type:
        fmt = formats.MEDIA_TYPES.get(media_type.split(";")[0].strip().lower())
        suffix = f".{fmt}" if fmt else suffix
    request = {"path": None, "member": None, "suffix": suffix}
    return _parse(Reading(name, name, request, options, limits, data), name, name)


def read_source(source: Source, doc: str, options: ReadOptions | None = None, limits: Limits | None = None) -> Reading:
    """A file as a stream of items; reading starts with the first.

    Args:
        doc: The document's name, see `document_names`.
    """
    if source.problem is not None:
        return Reading(str(source), doc, None, problem=source.problem)
    request = {"path": str(source.path), "member": source.member, "suffix": source.suffix}
    return Reading(str(source), doc, request, options, limits)


@dataclass(slots=True)
class Reading:
    """The items of one file, once. A file that cannot be read, or only in part, ends in a `Rejected`.

    Attributes:
        format: Known once the first item came: ``"pdf"``.
        encoding: Of a text format, known once the first item came: ``"gb18030"``.
        title: The document's, known once the first item came.
        at: Bytes of the file that are read, where that can be told.
    """

    source: str
    doc: str
    request: dict[str, Any] | None
    options: ReadOptions | None = None
    limits: Limits | None = None
    data: bytes | None = None
    problem: str = ""
    format: str | None = None
    encoding: str | None = None
    title: str = ""
    at: int = 0

    def __iter__(self) -> Iterator[Item]:
        try:
            if self.request is None:
                raise InputError(self.problem)
            empty = True
            with sandbox.borrowed() as process:
                for item in self._items(process, self.request):
                    empty = False
                    yield item
            if empty:
                raise InputError("no row; expected at least one below the column names")
        except InputError as error:
            yield Rejected(self.source, self.doc, None, None, str(error))

    def _items(self, process: sandbox.Sandbox, request: dict[str, Any]) -> Iterator[Item]:
        request |= {"list": False, "source": self.source, "doc": self.doc}
        frames = process.ask(
            self.limits or Limits(), self.data, **request, options=asdict(self.options or ReadOptions())
        )
        for frame in frames:
            if "format" in frame:
                self.format, self.encoding, self.title = frame["format"], frame["encoding"], frame["title"]
            self.at = frame.get("at", 0)
            for item in frame.get("items", ()):
                yield from_json(item, self.source, self.doc)


def _parse(reading: Reading, source: str, doc: str) -> ParsedFile:
    paragraphs: list[Paragraph] = []
    rejected: list[Rejected] = []
    for item in reading:
        if isinstance(item, Rejected):
            if item.line is None:
                raise InputError(f"{source}: {item.reason}")
            rejected.append(item)
        else:
            paragraphs.append(item.paragraph if isinstance(item, Row) else item)
    document = Document(doc, reading.title, tuple(paragraphs), source)
    assert reading.format is not None
    return ParsedFile(document, reading.format, reading.encoding, tuple(rejected))
