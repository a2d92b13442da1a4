"""Word documents (.docx) to lines: headings by their style, tables by row, text boxes after what they hang on.

What stands outside the body (headers, footers, comments, footnotes) and what a tracked change deletes is not read.
Knows nothing of .doc.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import docx
from docx.oxml.ns import qn
from docx.table import Table
from docx.text.paragraph import Paragraph

from policytag.segmentation import Line

_HEADING = re.compile(r"(?:heading|标题)\s*(\d)", re.IGNORECASE)
_TITLE = re.compile(r"title|标题", re.IGNORECASE)
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
"""A second form of a text box, for old programs."""
_MARKS = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}
_CONTAINERS = {qn("w:sdt"), qn("w:sdtContent"), qn("w:customXml"), qn("w:ins")}


def lines(file: BinaryIO) -> Iterator[Line]:
    """The lines of the body, tables in their place."""
    document = docx.Document(file)
    yield from _inside(document.element.body, document)


def _inside(element: Any, parent: Any) -> Iterator[Line]:
    """What a body, a cell, a text box or a content control holds; ``parent`` is where styles are looked up."""
    for child in element:
        if child.tag == qn("w:tbl"):
            yield from _table(Table(child, parent))
        elif child.tag == qn("w:p"):
            level = _level(Paragraph(child, parent))
            yield from (Line(piece, level) for piece in _text(child).split("\n"))
            for box in child.iter(qn("w:txbxContent")):
                if not any(above.tag == _FALLBACK for above in box.iterancestors()):
                    yield from _inside(box, parent)
        elif child.tag in _CONTAINERS:
            yield from _inside(child, parent)


def _text(element: Any) -> str:
    """Text with its line breaks, tracked insertions included; neither deletions nor text boxes."""
    pieces = []
    for child in element:
        if child.tag == qn("w:t"):
            pieces.append(child.text or "")
        elif child.tag in _MARKS:
            pieces.append(_MARKS[child.tag])
        elif child.tag not in (qn("w:txbxContent"), _FALLBACK, qn("w:pPr"), qn("w:rPr")):
            pieces.append(_text(child))
    return "".join(pieces)


def _table(table: Table) -> Iterator[Line]:
    """A line a row; a row of one cell is a frame around text, which is read as such."""
    for row in table._tbl.tr_lst:
        cells = row.tc_lst  # each cell once, however many columns it spans
        if len(cells) == 1:
            yield from _inside(cells[0], table._parent)
        else:
            texts = (" ".join("\n".join(map(_text, cell.iter(qn("w:p")))).split()) for cell in cells)
            yield Line(" | ".join(texts), row=True)


def _level(paragraph: Paragraph) -> int | None:
    """1 to 9 by the style's name, 0 for a title, None for any other."""
    style = paragraph.style
    name = (style.name if style is not None else None) or ""
    if heading := _HEADING.match(name):
        return int(heading[1])
    return 0 if _TITLE.fullmatch(name) else None
