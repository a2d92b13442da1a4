"""PDF to lines: reading order, wrapped lines rejoined, running heads and page numbers dropped. Recognises no images.

PDFium gives each character in reading order with its box. Lines are put together to paragraphs by geometry: a line goes
on in the next one if the next one's first word would not have fitted on it, the next is not indented, and neither
letter size nor line spacing changes.
"""

from __future__ import annotations

import ctypes
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import BinaryIO

import pypdfium2
import pypdfium2.raw as pdfium

from policytag.errors import InputError
from policytag.segmentation import Line, ends_sentence, opens

EDGE_LINES = 2
"""Lines at the top and at the bottom of a page among which running heads and page numbers are looked for."""
MIN_REPEATED_SHARE = 0.4
"""Share of the pages on which a line at the edge must come back to be a running head."""
INDENT = 1.2
"""Widths of a character beyond the margin from which a line is indented; documents indent by two."""
MIN_INDENTED_SHARE = 0.03
"""Share of full lines that are indented from which a document marks its paragraphs so."""
MAX_SIZE_RATIO = 1.15
"""Letter sizes that differ by more are of different paragraphs."""
MAX_GAP_RATIO = 1.6
"""Line spacings beyond the usual by more part paragraphs."""

_PAGE_NUMBER = re.compile(r"[-—–·\s]*(?:第\s*)?\d{1,4}(?:\s*页)?(?:\s*[/,，]?\s*共?\s*\d{1,4}\s*页?)?[-—–·\s]*$")
_GAP = "\ue0f0"
"""Stands for a distance between letters that PDFium takes for a blank; Chinese typesetting parts scripts so."""
_GAPS = re.compile(rf"(?<=[!-~]){_GAP}(?=[!-~])")
_NO_TEXT = f"\0\ufffe{_GAP}"
_HANGING = "，。、；：！？”’）》】〉」』,.;:!?)]}"
_LATIN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class _Placed:
    """A line of a page; lengths in points, from the lower left corner."""

    text: str
    page: int
    left: float
    right: float
    firm_right: float  # of the last character that may not hang over the margin
    middle: float
    size: float


def lines(file: BinaryIO) -> Iterator[Line]:
    """The paragraphs of a document.

    Raises:
        InputError: If it is encrypted, damaged, or has no text.
    """
    try:
        document = pypdfium2.PdfDocument(file)
    except pypdfium2.PdfiumError as error:
        if "assword" in str(error):
            raise InputError("encrypted; save it without a password") from None
        raise InputError(f"not readable as PDF ({error}); open it in a viewer and save it anew") from None
    pages = [_page(document, number) for number in range(len(document))]
    if not any(pages):
        raise InputError("no text, as in a scan; run text recognition (OCR) over it first")
    placed = list(itertools.chain.from_iterable(_without_edges(pages)))
    for paragraph in _paragraphs(placed):
        yield Line(paragraph)


def _page(document: pypdfium2.PdfDocument, number: int) -> list[_Placed]:
    try:
        page = document[number]
        textpage = page.get_textpage()
    except pypdfium2.PdfiumError:
        return []  # a damaged page; the others are read
    found: list[_Placed] = []
    start, chars = 0, []
    count = pdfium.FPDFText_CountChars(textpage)
    for index in range(count):
        char = chr(pdfium.FPDFText_GetUnicode(textpage, index))
        if char == " " and pdfium.FPDFText_IsGenerated(textpage, index) == 1:
            char = _GAP
        if char not in "\r\n":
            chars.append(char)
            continue
        found += _placed(textpage, number, start, chars)
        start, chars = index + 1, []
    found += _placed(textpage, number, start, chars)
    textpage.close()
    page.close()
    return found


def _placed(textpage: pypdfium2.PdfTextPage, page: int, start: int, chars: list[str]) -> list[_Placed]:
    seen = [offset for offset, char in enumerate(chars) if not char.isspace() and char not in _NO_TEXT]
    if not seen:
        return []
    text = _GAPS.sub(" ", "".join(chars)).translate(dict.fromkeys(map(ord, _NO_TEXT)))
    firm = [offset for offset in seen if chars[offset] not in _HANGING] or seen
    left, bottom, _, top = _box(textpage, start + seen[0])
    right, firm_right = (_box(textpage, start + offset)[2] for offset in (seen[-1], firm[-1]))
    size = pdfium.FPDFText_GetFontSize(textpage, start + seen[0]) * _scale(textpage, start + seen[0])
    return [
        _Placed(unicodedata.normalize("NFC", text.strip()), page, left, right, firm_right, (bottom + top) / 2, size)
    ]


def _box(textpage: pypdfium2.PdfTextPage, index: int) -> tuple[float, float, float, float]:
    """left, bottom, right, top of a character's cell, white space around the glyph included."""
    box = pdfium.FS_RECTF()
    if not pdfium.FPDFText_GetLooseCharBox(textpage, index, ctypes.byref(box)):
        return 0.0, 0.0, 0.0, 0.0
    return box.left, min(box.bottom, box.top), box.right, max(box.bottom, box.top)


def _scale(textpage: pypdfium2.PdfTextPage, index: int) -> float:
    """What the page's transformation makes of the nominal letter size."""
    matrix = pdfium.FS_MATRIX()
    if not pdfium.FPDFText_GetMatrix(textpage, index, ctypes.byref(matrix)):
        return 1.0
    return abs(matrix.d) or abs(matrix.b) or 1.0


def _without_edges(pages: Sequence[list[_Placed]]) -> Iterator[list[_Placed]]:
    """Pages less the lines at their edges that come back on other pages, or are page numbers."""
    edges = [_edges(page) for page in pages]
    uses = Counter(key for page in edges for key in {_key(line) for line in page})
    needed = max(2, MIN_REPEATED_SHARE * sum(map(bool, pages)))
    for page, edge in zip(pages, edges, strict=True):
        dropped = {
            id(line)
            for line in edge
            if uses[_key(line)] >= needed or (_PAGE_NUMBER.match(line.text) and _outer(line, page))
        }
        yield [line for line in page if id(line) not in dropped]


def _edges(page: list[_Placed]) -> list[_Placed]:
    by_height = sorted(page, key=lambda line: line.middle)
    return by_height[:EDGE_LINES] + by_height[EDGE_LINES:][-EDGE_LINES:]


def _outer(line: _Placed, page: list[_Placed]) -> bool:
    """Whether nothing of the page stands beyond the line, above or below."""
    heights = [other.middle for other in page if other is not line]
    return bool(heights) and not min(heights) < line.middle < max(heights)


def _key(line: _Placed) -> tuple[str, int]:
    """Same for a head on every page: its text without numbers, and its height to a few points."""
    return re.sub(r"\d+", "#", line.text), round(line.middle / 4)


def _paragraphs(placed: list[_Placed]) -> Iterator[str]:
    layout = _layout(placed)
    pieces: list[str] = []
    for before, line in zip([None, *placed], placed, strict=False):
        if before is not None and _goes_on(before, line, layout):
            pieces.append((" " if _parted(pieces[-1], line.text) else "") + line.text)
        else:
            if pieces:
                yield "".join(pieces)
            pieces = [line.text]
    if pieces:
        yield "".join(pieces)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Of the running text: margins, letter size and the distance from line to line in points; whether it indents."""

    left: float
    right: float
    size: float
    gap: float
    indents: bool


def _layout(placed: list[_Placed]) -> _Layout:
    size = median(line.size for line in placed for _ in range(len(line.text)))
    body = [line for line in placed if size / MAX_SIZE_RATIO <= line.size <= size * MAX_SIZE_RATIO] or placed
    rights = sorted(line.firm_right for line in body)
    long = [line for line in body if len(line.text) > 15] or body
    gaps = [a.middle - b.middle for a, b in itertools.pairwise(body) if a.page == b.page and a.middle > b.middle]
    left = min(Counter(round(line.left) for line in long).most_common(2))[0]
    right = rights[int(len(rights) * 0.95)]
    indented = sum(line.left > left + INDENT * size and line.firm_right > right - 2 * size for line in long)
    gap = _usual(gaps) if gaps else 2 * size
    return _Layout(left, right, size, gap, indented > MIN_INDENTED_SHARE * len(long))


def _usual(values: list[float]) -> float:
    """The commonest value, to a point."""
    return float(Counter(map(round, values)).most_common(1)[0][0])


def _goes_on(before: _Placed, line: _Placed, layout: _Layout) -> bool:
    if not 1 / MAX_SIZE_RATIO <= line.size / (before.size or 1) <= MAX_SIZE_RATIO:
        return False
    if line.page == before.page:
        gap = before.middle - line.middle
        usual = max(layout.gap, layout.gap * line.size / layout.size)
        if not 0 < gap <= MAX_GAP_RATIO * usual:
            return False
    if _centred(before, layout) and _centred(line, layout):
        return line.size > MAX_SIZE_RATIO * layout.size
    if line.left > layout.left + INDENT * line.size:
        return False
    if not layout.indents and ends_sentence(before.text) and opens(line.text):
        return False
    return before.right + _first_word(line.text) * line.size > layout.right


def _centred(line: _Placed, layout: _Layout) -> bool:
    middle = (layout.left + layout.right) / 2
    indented = line.left > layout.left + INDENT * line.size
    return indented and abs((line.left + line.right) / 2 - middle) < line.size


def _first_word(text: str) -> float:
    """Width of what may not be parted at the start of a line, in letter sizes: ``"资金，"`` -> 1, ``"2025年"`` -> 2."""
    latin = _LATIN.match(text)
    return max(1.0, 0.5 * len(latin[0])) if latin else 1.0


def _parted(left: str, right: str) -> bool:
    return left[-1:].isascii() and left[-1:].isalnum() and right[:1].isascii() and right[:1].isalnum()
