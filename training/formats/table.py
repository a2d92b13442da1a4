"""CSV: one paragraph a row, for a spreadsheet. Knows no labels' meaning.

Columns: ``id, doc, text, instruments, industries``; labels are joined by ``|``, ``-`` means "read, nothing applies",
blank cells in both "not labelled yet". Other keys of a row are JSON in the column ``more``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from policytag.errors import InputError
from policytag.taxonomy import Taxonomy
from training.annotations import LISTS
from training.formats.judgements import Judged, Judgement, labels_of
from training.jsonl import Row

COLUMNS = ("id", "doc", "text", *LISTS)
MORE, NOTHING, SEPARATOR = "more", "-", "|"
csv.field_size_limit(16 * 2**20)


def read(path: Path) -> Iterator[Judged]:
    """The rows of a table in UTF-8, with or without a byte order mark.

    Raises:
        InputError: If it cannot be read, or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey=MORE)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"{path}: no column '{missing[0]}'; expected {', '.join(COLUMNS)}")
            for cells in reader:
                yield _judged(f"{path}:{reader.line_num}", cells)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a CSV file") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not CSV in UTF-8 ({error}); save it as 'CSV UTF-8'") from None


def _judged(place: str, cells: dict[str, str]) -> Judged:
    try:
        more = json.loads(cells.get(MORE) or "{}")
        more = dict(more)
    except (ValueError, TypeError):
        raise InputError(
            f"{place}: column '{MORE}' is no JSON object, or there are more cells than columns; quote the cells"
        ) from None
    row = {key: cells[key] for key in ("id", "doc", "text")}
    row |= {k: v for k, v in cells.items() if k not in (*COLUMNS, MORE) and v} | more
    written = [cells[key] or "" for key in LISTS]
    labels = [part.strip() for cell in written for part in cell.split(SEPARATOR) if part.strip() not in ("", NOTHING)]
    judged = any(cell.strip() for cell in written)
    return Judged(place, row, (Judgement(str(row.get("annotator", "")), tuple(labels)),) if judged else ())


def write(path: Path, rows: Sequence[Row], taxonomy: Taxonomy) -> None:
    """A table with a byte order mark, so that spreadsheets read Chinese."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, MORE])
        for row in rows:
            labels = labels_of(row)
            cells = [
                _cell([x for x in labels if taxonomy[x].facet == f]) if labels is not None else ""
                for f in LISTS.values()
            ]
            more = {key: value for key, value in row.items() if key not in COLUMNS}
            writer.writerow(
                [row["id"], row["doc"], row["text"], *cells, json.dumps(more, ensure_ascii=False) if more else ""]
            )


def _cell(labels: list[str]) -> str:
    return SEPARATOR.join(labels) or NOTHING
