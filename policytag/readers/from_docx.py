"""Word documents (.docx) to lines: headings by their style, tables by row. Knows nothing of .doc.

What stands outside the body (headers, footers, comments, footnotes, text boxes) is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

import docx
from docx.document import Document
from docx.table import Table, _Cell
from docx.text.paragraph import Paragraph

from policytag.segmentation import Line

_HEADING = re.compile(r"(?:heading|标题)\s*(\d)", re.IGNORECASE)
_TITLE = re.compile(r"title|标题", re.IGNORECASE)


def lines(file: BinaryIO) -> Iterator[Line]:
    """The lines of the body, tables in their place."""
    yield from _inside(docx.Document(file))


def _inside(container: Document | _Cell) -> Iterator[Line]:
    for block in container.iter_inner_content():
        if isinstance(block, Table):
            yield from _table(block)
        else:
            level = _level(block)
            yield from (Line(piece, level) for piece in block.text.split("\n"))


def _table(table: Table) -> Iterator[Line]:
    """A line a row; a row of one cell is a frame around text, which is read as such."""
    for row in table.rows:
        cells = list({id(cell._tc): cell for cell in row.cells}.values())  # a merged cell comes once a column
        if len(cells) == 1:
            yield from _inside(cells[0])
        else:
            yield Line(" | ".join(" ".join(cell.text.split()) for cell in cells), row=True)


def _level(paragraph: Paragraph) -> int | None:
    """1 to 9 by the style's name, 0 for a title, None for any other."""
    style = paragraph.style
    name = (style.name if style is not None else None) or ""
    if heading := _HEADING.match(name):
        return int(heading[1])
    return 0 if _TITLE.fullmatch(name) else None
