"""Rows as a table: Parquet, CSV or a workbook, written as a stream. Knows nothing of how the rows came about."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from policytag.taxonomy import Taxonomy
from serving.rows import FACET_KEYS, Row, dump

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = {".jsonl": "jsonl", ".parquet": "parquet", ".csv": "csv", ".xlsx": "xlsx"}
"""Suffix -> format; any other suffix is JSON lines too."""
PARQUET_ROWS = 10_000
"""Rows of one row group."""
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
"""Media type of a workbook."""
MAX_SHEET_ROWS = 1_048_576
"""Rows of one sheet, the head included; more go to further sheets."""
MAX_CELL_CHARS = 32_767
"""Characters of one cell of a workbook; a longer text is cut and ends in ``…``."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Record = dict[str, Any]
"""Column -> a string, number, truth value or None."""


def format_of(target: str) -> str:
    """``"tags.xlsx"`` -> ``"xlsx"``."""
    return FORMATS.get(Path(target).suffix.lower(), "jsonl")


def write(fmt: str, file: BinaryIO, columns: Sequence[str], records: Iterable[Record], *, bom: bool = False) -> None:
    """Writes a table.

    Args:
        fmt: One of the values of `FORMATS`.
        bom: Whether a CSV begins with the mark by which Excel knows UTF-8.
    """
    if fmt == "csv":
        _write_csv(file, columns, records, bom)
    elif fmt == "xlsx":
        _write_xlsx(file, columns, records)
    elif fmt == "parquet":
        _write_parquet(file, columns, records)
    else:
        for record in records:
            file.write(dump(record))


def row_columns(taxonomy: Taxonomy, *, text: bool, scores: bool) -> list[str]:
    """The columns of a table of paragraphs."""
    columns = ["id", "doc", "index", "kind", "headings", *(["text"] if text else []), "status"]
    for key in FACET_KEYS.values():
        columns += [key, f"{key}_names"]
    columns += ["truncated", "model", "line", "error"]
    return columns + [f"score_{label}" for label in (taxonomy.ids if scores else ())]


def flatten(row: Row) -> Record:
    """A row with one value a column: label ids with their scores and names, parted by ``;``.

    ``[{"id": "subsidy", "name": "资金补贴", "score": 0.97}]`` -> ``"subsidy=0.97"`` and ``"资金补贴"``.
    """
    record = {key: row.get(key) for key in ("id", "doc", "index", "kind", "text", "status", "truncated", "model")}
    record |= {"line": row.get("line"), "error": row.get("error"), "headings": " > ".join(row.get("headings", ()))}
    for key in FACET_KEYS.values():
        tags = row.get(key, ())
        record[key] = ";".join(f"{tag['id']}={tag['score']:.4g}" for tag in tags)
        record[f"{key}_names"] = ";".join(tag["name"] for tag in tags)
    return record | {f"score_{label}": score for label, score in row.get("scores", {}).items()}


def safe(value: Any) -> Any:
    """A cell that a spreadsheet takes for text: ``"=1+1"`` -> ``"'=1+1"``."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _write_csv(file: BinaryIO, columns: Sequence[str], records: Iterable[Record], bom: bool) -> None:
    text = io.TextIOWrapper(file, "utf-8-sig" if bom else "utf-8", "replace", newline="", write_through=False)
    writer = csv.writer(text)
    writer.writerow(columns)
    for record in records:
        writer.writerow(["" if (value := record.get(column)) is None else safe(value) for column in columns])
    text.flush()
    text.detach()


def _write_xlsx(file: BinaryIO, columns: Sequence[str], records: Iterable[Record]) -> None:
    import openpyxl  # large; other outputs do without
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    book = openpyxl.Workbook(write_only=True)

    def cell(sheet: Any, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        value = ILLEGAL_CHARACTERS_RE.sub(" ", value.encode("utf-8", "replace").decode())
        made = WriteOnlyCell(sheet, value if len(value) <= MAX_CELL_CHARS else f"{value[: MAX_CELL_CHARS - 1]}…")
        made.data_type = "s"  # a text that begins with = is a text
        return made

    stream = iter(records)
    for number in itertools.count(1):
        sheet = book.create_sheet(f"tags {number}")
        sheet.append([cell(sheet, column) for column in columns])
        written = 0
        for record in itertools.islice(stream, MAX_SHEET_ROWS - 1):
            sheet.append([cell(sheet, record.get(column)) for column in columns])
            written += 1
        if written < MAX_SHEET_ROWS - 1:
            break
    book.save(file)


def _write_parquet(file: BinaryIO, columns: Sequence[str], records: Iterable[Record]) -> None:
    import pyarrow.parquet as pq  # large; other outputs do without

    stream = iter(records)
    with pq.ParquetWriter(file, arrow(columns, []).schema, compression="zstd") as writer:
        while batch := list(itertools.islice(stream, PARQUET_ROWS)):
            writer.write_table(arrow(columns, batch))


def arrow(columns: Sequence[str], records: Iterable[Record], *fields: pa.Field) -> pa.Table:
    """Records as an Arrow table.

    Args:
        fields: Columns whose type is not the usual one.
    """
    import pyarrow as pa

    types = {field.name: field.type for field in fields}
    schema = pa.schema([(column, types.get(column) or _arrow_type(column)(pa)) for column in columns])
    clean = [{column: _utf8(record.get(column)) for column in columns} for record in records]
    return pa.Table.from_pylist(clean, schema=schema)


def _arrow_type(column: str) -> Callable[[Any], Any]:
    if column in {"index", "line", "paragraphs", "untagged", "furniture", "rejected", "chars", "truncated_paragraphs"}:
        return lambda pa: pa.int64()
    if column == "truncated":
        return lambda pa: pa.bool_()
    if column.startswith(("score_", "share_")):
        return lambda pa: pa.float64()
    return lambda pa: pa.string()


def _utf8(value: Any) -> Any:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def records(rows: Iterable[Row]) -> Iterator[Record]:
    """`flatten` for every row."""
    return map(flatten, rows)
