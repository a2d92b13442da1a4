"""Markdown to lines: headings by their marks, list items and tables a line each. Knows no files."""

from __future__ import annotations

from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

from policytag.segmentation import Line


def lines(text: str) -> Iterator[Line]:
    """The lines of a CommonMark text with tables; marks such as ``**`` and link targets are left out."""
    level: int | None = None
    cells: list[str] | None = None
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "heading_open":
            level = int(token.tag[1:])
        elif token.type == "heading_close":
            level = None
        elif token.type == "tr_open":
            cells = []
        elif token.type == "tr_close":
            yield Line(" | ".join(cells or ()), row=True)
            cells = None
        elif token.type == "inline":
            plain = _plain(token)
            if cells is not None:
                cells.append(plain)
            else:
                yield from (Line(piece, level) for piece in plain.split("\n"))
        elif token.type in {"code_block", "fence", "html_block"}:
            yield from (Line(piece) for piece in token.content.split("\n"))


def _plain(inline: Token) -> str:
    pieces = []
    for child in inline.children or ():
        if child.type in {"softbreak", "hardbreak"}:
            pieces.append("\n")
        elif child.type in {"text", "code_inline", "image"}:
            pieces.append(child.content)
        elif child.type == "html_inline" and child.content.lower().startswith("<br"):
            pieces.append("\n")
    return "".join(pieces)
