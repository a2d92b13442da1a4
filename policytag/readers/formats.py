"""Which format a file is in, and reading it. Runs in the process that may die, see `policytag.readers.sandbox`.

What a file holds counts, not what it is called, wherever the first bytes tell. Knows neither folders nor processes.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from policytag.errors import InputError
from policytag.readers import encodings, rows
from policytag.readers.items import Item, Limits, ReadOptions
from policytag.segmentation import Line, segment, segment_lines
from policytag.text import is_blank

SUFFIXES = {
    ".txt": "txt",
    ".md": "md",
    ".html": "html",
    ".htm": "html",
    ".docx": "docx",
    ".pdf": "pdf",
    ".csv": "csv",
    ".tsv": "tsv",
    ".xlsx": "xlsx",
    ".jsonl": "jsonl",
    ".parquet": "parquet",
    ".zip": "zip",
}
"""Suffix -> format."""
MEDIA_TYPES = {
    "text/plain": "txt",
    "text/markdown": "md",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/pdf": "pdf",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/jsonl": "jsonl",
    "application/x-ndjson": "jsonl",
    "application/vnd.apache.parquet": "parquet",
    "application/zip": "zip",
}
"""Media type -> format."""
ROW_FORMATS = frozenset({"csv", "tsv", "xlsx", "jsonl", "parquet"})
STREAMED = frozenset({"csv", "tsv", "jsonl"})
MODULES = {
    "txt": ["charset_normalizer"],
    "csv": ["charset_normalizer"],
    "tsv": ["charset_normalizer"],
    "md": ["charset_normalizer", "policytag.readers.from_markdown"],
    "html": ["charset_normalizer", "policytag.readers.from_html"],
    "docx": ["policytag.readers.from_docx"],
    "pdf": ["policytag.readers.from_pdf"],
    "xlsx": ["openpyxl"],
    "parquet": ["pyarrow.parquet"],
}
"""Format -> what is imported to read it, once, before a process is split off for a file."""

_CONVERT = "convert it with 'soffice --headless --convert-to {} FILE' (LibreOffice) and tag the result"
_REFUSED_SUFFIXES = {
    ".doc": f".doc is not read; {_CONVERT.format('docx')}",
    ".wps": f".wps is not read; {_CONVERT.format('docx')}",
    ".rtf": f".rtf is not read; {_CONVERT.format('docx')}",
    ".odt": f".odt is not read; {_CONVERT.format('docx')}",
    ".xls": f".xls is not read; {_CONVERT.format('xlsx')}",
    ".et": f".et is not read; {_CONVERT.format('xlsx')}",
    ".ofd": ".ofd is not read; open it in an OFD reader and save or print it as PDF",
    ".rar": "a RAR archive is not read; unpack it",
    ".7z": "a 7z archive is not read; unpack it",
    ".gz": "a gzip archive is not read; unpack it",
}
_MAGIC = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"{\\rtf", ".rtf"),
    (b"PAR1", "parquet"),
    (b"Rar!\x1a\x07", ".rar"),
    (b"7z\xbc\xaf\x27\x1c", ".7z"),
    (b"\x1f\x8b\x08", ".gz"),
    (b"\x89PNG", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"II*\0", "image"),
    (b"MM\0*", "image"),
)
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_HEAD_BYTES = 4096
_EMPTY = "empty document; expected at least one line of text"


@dataclass(frozen=True, slots=True)
class Opened:
    """A file whose format is known and whose items are still to be read."""

    format: str
    encoding: str | None
    title: str
    items: Iterator[Item]


def preload(suffix: str) -> None:
    """Imports what files with this suffix will need."""
    for module in MODULES.get(SUFFIXES.get(suffix, ""), ()):
        importlib.import_module(module)


def expected() -> str:
    """``".txt .md … .zip"``."""
    return " ".join(SUFFIXES)


def open_file(
    file: BinaryIO, size: int, suffix: str, source: str, doc: str, options: ReadOptions, limits: Limits
) -> Opened:
    """Recognises a file and gets it ready to be read.

    Args:
        file: At its start; it can be sought in.
        suffix: With the dot, in small letters.

    Raises:
        InputError: If it is in no format that is read, too large, or damaged.
    """
    fmt = detect(file, suffix)
    if fmt == "zip":
        raise InputError("an archive in the place of a document; unpack it")
    if fmt not in ROW_FORMATS or fmt == "xlsx":
        if size > limits.file_bytes:
            raise InputError(f"{size} bytes; expected at most {limits.file_bytes}. Split the file")
        if size == 0:
            raise InputError(_EMPTY)
    if fmt in {"docx", "xlsx"}:
        _check_unpacked(file, limits)
    if fmt in ROW_FORMATS:
        return _open_rows(fmt, file, source, doc, options)
    return _open_document(fmt, file, source, doc)


def detect(file: BinaryIO, suffix: str) -> str:
    """The format by the first bytes where they tell, else by the suffix; the file is left at its start.

    Raises:
        InputError: If it is in no format that is read, or not in the one that its suffix names.
    """
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    named = SUFFIXES.get(suffix)
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(b"PK\x03\x04") or head.startswith(b"PK\x05\x06"):
        return _detect_zip(file)
    kind = next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
    if kind == "parquet":
        return kind
    if kind == "image":
        raise InputError("an image is not read; run text recognition (OCR) over it first")
    if kind == "ole":
        if suffix in {".docx", ".xlsx"} and _ENCRYPTED in file.read(1 << 20):
            raise InputError("encrypted; save it without a password")
        raise InputError(_REFUSED_SUFFIXES.get(suffix) or f"a file of Office 2003 or older; {_CONVERT.format('docx')}")
    if kind is not None:
        raise InputError(_REFUSED_SUFFIXES[kind])
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:15].lower().startswith((b"<!doctype html", b"<html")) and named != "md":
        return "html"
    if named is None:
        what = f"file type '{suffix}' is not read" if suffix else "a file without a suffix is not read"
        raise InputError(_REFUSED_SUFFIXES.get(suffix) or f"{what}; expected {expected()}")
    if named in {"pdf", "docx", "xlsx", "parquet", "zip"}:
        raise InputError(
            f"named {suffix}, but not in that format" + ("" if head else " (empty file)") + "; save it anew"
        )
    return named


def _detect_zip(file: BinaryIO) -> str:
    with _zip(file) as archive:
        names = set(itertools.islice(archive.NameToInfo, 100_000))
    file.seek(0)
    if "word/document.xml" in names:
        return "docx"
    if "xl/workbook.xml" in names:
        return "xlsx"
    if "OFD.xml" in names:
        raise InputError(_REFUSED_SUFFIXES[".ofd"])
    if "mimetype" in names and "content.xml" in names:
        raise InputError(_REFUSED_SUFFIXES[".odt"])
    return "zip"


def members(file: BinaryIO, limits: Limits) -> list[tuple[int, str]] | None:
    """Number and name of each file in an archive; None if the file is no archive but a document.

    Raises:
        InputError: If it is neither, damaged, or holds too much.
    """
    if detect(file, ".zip") != "zip":
        return None
    with _zip(file) as archive:
        found = [(number, info) for number, info in enumerate(archive.infolist()) if not info.is_dir()]
        total = sum(info.file_size for _, info in found)
    if len(found) > limits.members:
        raise InputError(f"{len(found)} files in the archive; expected at most {limits.members}. Unpack it")
    if total > limits.unpacked_bytes:
        raise InputError(f"{total} bytes unpacked; expected at most {limits.unpacked_bytes}. Unpack it")
    if not found:
        raise InputError("an empty archive; expected at least one file in it")
    return [(number, _member_name(info)) for number, info in found]


def _member_name(info: zipfile.ZipInfo) -> str:
    """A member's name; where the archive does not call it UTF-8, as Chinese Windows does not, GB18030 is tried."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("gb18030")
    except UnicodeError:
        return info.filename


@contextlib.contextmanager
def open_member(file: BinaryIO, number: int, suffix: str, limits: Limits) -> Iterator[tuple[BinaryIO, int]]:
    """A file of an archive and its size, to be read where a file is.

    Raises:
        InputError: If it is encrypted, too large or damaged.
    """
    with _zip(file) as archive:
        info = archive.infolist()[number]
        if info.flag_bits & 1:
            raise InputError("encrypted; unpack the archive with its password")
        with archive.open(info) as member:
            if SUFFIXES.get(suffix) in STREAMED:
                yield member, info.file_size  # pyright: ignore[reportReturnType]
                return
            data = member.read(limits.file_bytes + 1)
        yield io.BytesIO(data), len(data)


def _zip(file: BinaryIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, EOFError) as error:
        raise InputError(f"a damaged archive ({error}); save it anew") from None


def _check_unpacked(file: BinaryIO, limits: Limits) -> None:
    with _zip(file) as archive:
        total = sum(info.file_size for info in archive.infolist())
    file.seek(0)
    if total > limits.unpacked_bytes:
        raise InputError(f"{total} bytes unpacked; expected at most {limits.unpacked_bytes}. Split the file")


def _open_rows(fmt: str, file: BinaryIO, source: str, doc: str, options: ReadOptions) -> Opened:
    if fmt in {"csv", "tsv"}:
        encoding = rows.csv_encoding(file)
        delimiters = "\t" if fmt == "tsv" else ",;\t"
        return Opened(
            fmt, encodings.name(encoding), doc, rows.read_csv(file, source, doc, options, encoding, delimiters)
        )
    if fmt == "jsonl":
        return Opened(fmt, "utf-8", doc, rows.read_jsonl(file, source, doc, options))
    read = rows.read_xlsx if fmt == "xlsx" else rows.read_parquet
    return Opened(fmt, None, doc, read(file, source, doc, options))


def _open_document(fmt: str, file: BinaryIO, source: str, doc: str) -> Opened:
    encoding = None
    if fmt in {"txt", "md", "html"}:
        data = file.read()
        declared = None
        if fmt == "html":
            from policytag.readers import from_html

            declared = from_html.declared_encoding(data)
        text, encoding = encodings.decode(data, declared)
        if is_blank(text):
            raise InputError(_EMPTY)
        document = segment(text, doc, source) if fmt == "txt" else segment_lines(_text_lines(fmt, text), doc, source)
    else:
        document = segment_lines(_binary_lines(fmt, file), doc, source)
    if not document.paragraphs:
        raise InputError(_EMPTY)
    return Opened(fmt, encoding, document.title, iter(document.paragraphs))


def _text_lines(fmt: str, text: str) -> Iterator[Line]:
    if fmt == "md":
        from policytag.readers import from_markdown

        return from_markdown.lines(text)
    from policytag.readers import from_html

    return from_html.lines(text)


def _binary_lines(fmt: str, file: BinaryIO) -> Iterator[Line]:
    if fmt == "docx":
        from policytag.readers import from_docx

        return from_docx.lines(file)
    from policytag.readers import from_pdf

    return from_pdf.lines(file)
