"""Files whose rows are paragraphs (.jsonl .csv .tsv .xlsx .parquet), as a stream. Knows nothing of segmentation.

A row is one paragraph as it stands. Its text comes from the text column, its id from the id column where there is
one, its document from ``doc`` and, in .jsonl and .parquet, its heading path from ``headings``. A row that cannot be
read comes as `Rejected` in its place.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from policytag.errors import InputError
from policytag.readers import encodings
from policytag.readers.items import MIB, ReadOptions, Rejected, Row
from policytag.text import Paragraph, is_blank

MAX_LINE_BYTES = 16 * MIB
"""Longest line of a ``.jsonl``, and longest cell of a table, that is read."""
SHOWN_CHARS = 60
"""What an error quotes of a value, which may be of any length."""
TEXT_COLUMNS = ("text", "content", "paragraph", "正文", "内容", "段落", "文本", "条款", "政策内容")
"""Names by which a text column is recognised, first match first."""
ID_COLUMN, DOC_COLUMN, HEADINGS_COLUMN = "id", "doc", "headings"
PARQUET_ROWS = 512
"""Rows decoded at once."""

_BAD_BYTES = "policytag.bad_bytes"
_BAD_MARK = "\udcff"
"""Stands for bytes that do not decode; no decoded text holds it, for it is half of a pair."""


class _RowError(Exception):
    def __init__(self, reason: str, row_id: str | None = None) -> None:
        super().__init__(reason)
        self.row_id = row_id


class Rows:
    """Makes rows of mappings and counts them.

    Args:
        source: The file, for messages.
        doc: Its document name.
        needs_id: Whether a row without an id is an error; else it gets the document's name and its place.
    """

    def __init__(self, source: str, doc: str, options: ReadOptions, *, needs_id: bool) -> None:
        self._source, self._doc, self._options, self._needs_id = source, doc, options, needs_id
        self._index = 0
        self.text_column = options.text_column or TEXT_COLUMNS[0]

    def choose(self, columns: Sequence[str]) -> None:
        """Settles the text column of a table.

        Raises:
            InputError: If none of the columns is it, naming those there are.
        """
        wanted = [self._options.text_column] if self._options.text_column else TEXT_COLUMNS
        by_name = {column.strip().lower(): column for column in reversed(columns)}
        found = next((by_name[name.strip().lower()] for name in wanted if name.strip().lower() in by_name), None)
        if found is None:
            there = ", ".join(shown(column) for column in columns[:20]) or "none"
            raise InputError(
                f"no column {' or '.join(repr(name) for name in wanted[:2])}; columns: {there}. "
                "Choose one with --text-column"
            )
        self.text_column = found

    def make(self, line: int, row: Mapping[str, Any]) -> Row | Rejected:
        """The row as a paragraph, or why it is none."""
        try:
            made = self._make(line, row)
        except _RowError as error:
            return self.reject(line, str(error), error.row_id)
        self._index += 1
        return made

    def reject(self, line: int, reason: str, row_id: str | None = None) -> Rejected:
        """A row that is none."""
        return Rejected(self._source, self._doc, line, row_id, reason)

    def _make(self, line: int, row: Mapping[str, Any]) -> Row:
        id_column = self._options.id_column or ID_COLUMN
        own_id = self._needs_id or row.get(id_column) is not None
        row_id = _name(row.get(id_column)) if own_id else f"{self._doc}#{self._index}"
        if row_id is None:
            raise _RowError(
                f"'{id_column}' is {shown(row.get(id_column))}; expected a non-empty string or a whole number"
            )
        text = row.get(self.text_column)
        if not isinstance(text, str):
            what = type(text).__name__ if self.text_column in row else "missing"
            raise _RowError(f"'{self.text_column}' is {what}; expected a string", row_id)
        if _BAD_MARK in text or _BAD_MARK in row_id:
            raise _RowError("holds bytes that are not in the file's encoding; save the file as UTF-8", None)
        if is_blank(text):
            raise _RowError(f"'{self.text_column}' is blank; expected at least one readable character", row_id)
        doc = _name(row.get(DOC_COLUMN, self._doc))
        if doc is None:
            raise _RowError(f"'{DOC_COLUMN}' is {shown(row[DOC_COLUMN])}; leave it out or mend it", row_id)
        headings = row.get(HEADINGS_COLUMN, [])
        if not isinstance(headings, list) or not all(isinstance(heading, str) for heading in headings):
            raise _RowError(f"'{HEADINGS_COLUMN}' is not a list of strings; leave it out or mend it", row_id)
        return Row(Paragraph(row_id, doc, self._index, text, tuple(headings)), line, own_id)


def read_jsonl(file: BinaryIO, source: str, doc: str, options: ReadOptions) -> Iterator[Row | Rejected]:
    """One JSON object a line, in UTF-8.

    Raises:
        InputError: If there is no row.
    """
    rows = Rows(source, doc, options, needs_id=True)
    empty = True
    for number, raw in enumerate(_lines(file), start=1):
        if not raw.strip():
            continue
        empty = False
        try:
            yield rows.make(number, _object(raw.rstrip(b"\r\n")))
        except _RowError as error:
            yield rows.reject(number, str(error))
    if empty:
        raise InputError("empty file; expected one JSON object with 'id' and 'text' a line")


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; of one over `MAX_LINE_BYTES` a piece that is too long by a byte, the rest is passed over."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        yield line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES + 1)


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


def csv_encoding(file: BinaryIO) -> str:
    """The encoding that the beginning of a table is in; the file is left at its start.

    Raises:
        InputError: If none fits.
    """
    sample = file.read(encodings.SAMPLE_BYTES)
    file.seek(0)
    return encodings.detect(sample)


def read_csv(
    file: BinaryIO, source: str, doc: str, options: ReadOptions, encoding: str, delimiters: str = ",;\t"
) -> Iterator[Row | Rejected]:
    """A table with its column names in the first line, parted by whichever of ``delimiters`` is commonest there.

    Raises:
        InputError: If there is no row, or no text column.
    """
    csv.field_size_limit(MAX_LINE_BYTES)
    codecs.register_error(_BAD_BYTES, _mark)
    text = io.TextIOWrapper(file, encoding, _BAD_BYTES, newline="")
    head = text.readline(MAX_LINE_BYTES)
    delimiter = max(delimiters, key=head.count)
    text.seek(0)
    reader = csv.reader(text, delimiter=delimiter)
    cells = ((reader.line_num, cells) for cells in _csv_rows(reader))
    try:
        yield from _table(cells, Rows(source, doc, options, needs_id=False))
    finally:
        text.detach()  # else the file is closed with it


def _mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return _BAD_MARK, error.end


def _csv_rows(reader: Any) -> Iterator[list[str] | str]:
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield f"not readable as a row ({error}); check the quotes"


def read_xlsx(file: BinaryIO, source: str, doc: str, options: ReadOptions) -> Iterator[Row | Rejected]:
    """The sheets of a workbook in order, each with its column names in the first row; an empty one is passed over.

    Raises:
        InputError: If it is damaged, or holds no row.
    """
    import openpyxl  # large; the other formats do without

    with contextlib.closing(openpyxl.load_workbook(file, read_only=True, data_only=True)) as book:
        rows = Rows(source, doc, options, needs_id=False)
        empty = True
        for sheet in book.worksheets:
            cells = enumerate((list(row) for row in sheet.iter_rows(values_only=True)), start=1)
            try:
                for row in _table(cells, rows):
                    empty = False
                    yield row
            except _NoRowsError:
                continue
            except InputError as error:
                empty = False
                yield rows.reject(1, f"sheet '{shown(sheet.title)}': {error}")
        if empty:
            raise InputError("empty workbook; expected a sheet with column names in its first row")


class _NoRowsError(InputError):
    """A table in which nothing stands."""


def _table(cells: Iterator[tuple[int, list[Any] | str]], rows: Rows) -> Iterator[Row | Rejected]:
    """Rows of cells to rows; a string in the place of cells says why there are none."""
    columns: list[str] | None = None
    for line, values in cells:
        if isinstance(values, str):
            yield rows.reject(line, values)
        elif all(value is None or (isinstance(value, str) and not value.strip()) for value in values):
            continue
        elif columns is None:
            columns = ["" if value is None else str(value).strip() for value in values]
            rows.choose(columns)
        else:
            yield rows.make(line, {c: _cell(v) for c, v in zip(columns, values, strict=False) if v not in (None, "")})
    if columns is None:
        raise _NoRowsError("empty table; expected column names in its first line")


def _cell(value: Any) -> Any:
    """A cell's value as the rows of other formats have it: numbers and dates as text."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else str(value)


def read_parquet(file: BinaryIO, source: str, doc: str, options: ReadOptions) -> Iterator[Row | Rejected]:
    """The rows of a Parquet file; only the columns that are used are read.

    Raises:
        InputError: If it is damaged, empty, or has no text column.
    """
    import pyarrow.parquet as pq  # large; the other formats do without

    rows = Rows(source, doc, options, needs_id=False)
    with pq.ParquetFile(file) as table:
        rows.choose(table.schema_arrow.names)
        if not table.metadata.num_rows:
            raise InputError("empty table; expected at least one row")
        wanted = {rows.text_column, options.id_column or ID_COLUMN, DOC_COLUMN, HEADINGS_COLUMN}
        names = [name for name in table.schema_arrow.names if name in wanted]
        line = 0
        for batch in table.iter_batches(PARQUET_ROWS, columns=names, use_threads=False):
            for row in batch.to_pylist():
                line += 1
                yield rows.make(line, {name: value for name, value in row.items() if value is not None})


def _name(value: Any) -> str | None:
    """A non-empty string, or a whole number as one; None if it is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def shown(value: Any) -> str:
    """``null``, ``[1, 2]``; a string without its quotes; cut where it is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
