"""Web pages to lines: the article, without navigation, frame and footer. Knows no network, and runs no script.

readability-lxml finds the element that holds the article. Where it keeps only a part of the page's running text, the
whole page is read instead, less what is marked as navigation: a line too many is furniture or goes untagged, a
paragraph too few is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import lxml.etree
import lxml.html
from lxml.html import defs
from readability import Document

from policytag.segmentation import Line

MIN_KEPT_SHARE = 0.9
"""Share of a page's running text that the article must keep, or the page is read whole."""
MIN_RUNNING_CHARS = 30
"""A line of at least so many characters with a punctuation mark in it counts as running text and not as a label."""

_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
_DROPPED = frozenset(
    "script style noscript template iframe object embed form button select nav aside svg head".split()  # noqa: SIM905
)
_FRAME = re.compile(r"\b(?:nav|menu|footer|header|breadcrumb|crumbs?|sidebar|share|related)\b", re.IGNORECASE)
_HTML5_BLOCKS = {"article", "body", "figcaption", "figure", "footer", "header", "main", "section"}
_BLOCKS = (defs.block_tags - {"del", "ins"}) | _HTML5_BLOCKS
_MARK = re.compile(r"[，。；：,;:.]")
_BREAK = "\v"
_BLANKS = re.compile(r"[ \t\r\n\f]+")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}


def declared_encoding(data: bytes) -> str | None:
    """What a page's ``<meta charset>`` says, be it true or not."""
    found = _CHARSET.search(data[:4096])
    return found[1].decode("ascii") if found else None


def lines(text: str) -> Iterator[Line]:
    """The lines of a page's article, its headline first."""
    page = _parse(text)
    if page is None:
        return
    for element in list(page.iter(*_DROPPED, lxml.etree.Comment, lxml.etree.ProcessingInstruction)):
        _drop(element)
    article = _article(page)
    headline = page.find(".//h1")
    found = list(_lines(article))
    if headline is not None:
        title = " ".join(headline.text_content().split())
        if title and all(title != line.text for line in found):
            yield Line(title, 0)
    yield from found


def _parse(text: str) -> lxml.html.HtmlElement | None:
    # A str with an XML declaration that names an encoding is refused by lxml: it is text already.
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    try:
        page = lxml.html.document_fromstring(text.replace("\0", ""), parser=lxml.html.HTMLParser(huge_tree=False))
    except (lxml.etree.ParserError, lxml.etree.XMLSyntaxError):
        return None
    return page


def _drop(element: lxml.html.HtmlElement) -> None:
    if element.getparent() is not None:
        element.drop_tree()


def _article(page: lxml.html.HtmlElement) -> lxml.html.HtmlElement:
    """The innermost element with all that readability takes for the article; the page where that is too little.

    What readability gives itself is not used: it leaves out tables and lists that it takes for decoration.
    """
    body = page.find("body")
    whole = page if body is None else body
    for element in list(whole.iter("div", "ul", "header", "footer", "section", "table")):
        if _FRAME.search(f"{element.tag} {element.get('class', '')} {element.get('id', '')}") and not _running(element):
            _drop(element)
    try:
        summary = Document(lxml.html.tostring(page, encoding="unicode")).summary(html_partial=True)
        wanted = _running(lxml.html.fragment_fromstring(summary, create_parent=True))
    except (lxml.etree.LxmlError, ValueError, TypeError, AttributeError, IndexError, RecursionError):
        return whole  # damaged markup
    if sum(map(len, wanted)) < MIN_KEPT_SHARE * sum(map(len, _running(whole))):
        return whole
    article = whole
    while True:
        inner = [child for child in article if _holds(child, wanted)]
        if not inner:
            return article
        article = inner[0]


def _holds(element: lxml.html.HtmlElement, wanted: list[str]) -> bool:
    text = "".join(element.text_content().split())
    return (
        bool(wanted)
        and all("".join(line.split()) in text for line in wanted)
        and sum(map(len, _running(element))) >= sum(map(len, wanted))
    )


def _running(element: lxml.html.HtmlElement) -> list[str]:
    """The lines of running text below an element: long enough to be sentences, with a mark in them."""
    lines = (line.text for line in _lines(element) if not line.row)
    return [text for text in lines if len(text) >= MIN_RUNNING_CHARS and _MARK.search(text)]


def _lines(root: lxml.html.HtmlElement) -> Iterator[Line]:
    """Text cut at block elements, ``<br>`` and the line ends of ``<pre>``; a table of data a line a row."""
    pieces: list[str] = []
    level: int | None = None
    preformatted = 0
    skip: lxml.html.HtmlElement | None = None

    def add(text: str | None) -> None:
        if text:
            pieces.append(re.sub(r"\r\n?|\n", _BREAK, text) if preformatted else text)

    def flush() -> Iterator[Line]:
        for text in "".join(pieces).split(_BREAK):
            yield Line(_BLANKS.sub(" ", text).strip(), level)
        pieces.clear()

    for event, element in lxml.etree.iterwalk(root, events=("start", "end")):
        tag = element.tag
        if skip is not None:
            if event == "end" and element is skip:
                skip = None
                add(element.tail)
        elif event == "start":
            if tag in _BLOCKS:
                yield from flush()
                level = _HEADINGS.get(tag, level)
            if tag == "table" and _is_data(element):
                yield from _rows(element)
                skip = element
                continue
            preformatted += tag == "pre"
            add(_BREAK if tag == "br" else element.text)
        else:
            if tag in _BLOCKS:
                yield from flush()
                level = None if tag in _HEADINGS else level
            preformatted -= tag == "pre"
            add(element.tail if element is not root else None)
    yield from flush()


def _is_data(table: lxml.html.HtmlElement) -> bool:
    """Whether a table holds data, not layout: several columns, and no cell with paragraphs or tables in it."""
    if table.find(".//table") is not None:
        return False
    rows = table.findall(".//tr")
    cells = [row.findall("td") + row.findall("th") for row in rows]
    if max(map(len, cells), default=0) < 2:
        return False
    return not any(len(cell.findall(".//p")) > 3 for row in cells for cell in row)


def _rows(table: lxml.html.HtmlElement) -> Iterator[Line]:
    for row in table.iter("tr"):
        cells = [" ".join(cell.text_content().split()) for cell in row if cell.tag in ("td", "th")]
        if any(cells):
            yield Line(" | ".join(cells), row=True)
