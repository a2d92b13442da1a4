"""Paragraphs and documents, and the one normalisation of their text. Knows neither files nor models."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

import opencc

Kind = Literal["heading", "body", "furniture"]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """The unit that is tagged.

    Attributes:
        id: Unique within a run; ``"001.txt#7"`` unless the input brought its own.
        doc_id: The document it belongs to.
        index: Its place in the document, from 0.
        text: As it stands in the document; hard-wrapped lines rejoined, otherwise untouched.
        headings: The heading path above it, outermost first.
        kind: ``heading``, ``body`` or ``furniture`` (page widgets and metadata, never tagged).
        lines: The 1-based line numbers of the source that it was made of.
    """

    id: str
    doc_id: str
    index: int
    text: str
    headings: tuple[str, ...] = ()
    kind: Kind = "body"
    lines: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A document and its paragraphs in reading order.

    Attributes:
        id: Unique within a run, usually the file's name.
        title: The first title-like heading, or the id.
        paragraphs: In reading order, furniture included: nothing of the source is lost.
        source: Where it was read from.
    """

    id: str
    title: str
    paragraphs: tuple[Paragraph, ...]
    source: str


_HAN = r"\u2e80-\u2fdf\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CJK = _HAN + r"\u3000-\u303f\uff00-\uffef\u2018-\u201d"
# Spaces and line breaks inside Chinese text mean nothing: 「补 贴」 is 「补贴」.
# Marks that full-width ones become count as Chinese beside a Chinese character.
_MARKS = re.escape('!"(),:;?')
_SPACE_IN_CHINESE = re.compile(rf"(?<=[{_CJK}])\s+(?=[{_CJK}{_MARKS}])|(?<=[{_MARKS}])\s+(?=[{_CJK}])")
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn"}


def _simplified() -> dict[int, int]:
    """Traditional character -> simplified character, one for one: 審 -> 审. Words are not changed: 軟體 -> 软体."""
    characters = [chr(point) for point in range(0x4E00, 0xA000)]
    convert = opencc.OpenCC("t2s").convert
    converted = convert(convert("\n".join(characters))).split("\n")  # 薴 -> 苧 -> 苎: what is simplified stays so
    return {ord(old): ord(new) for old, new in zip(characters, converted, strict=True) if old != new}


def _translation() -> dict[int, int | None]:
    """Code point -> code point: full width to half width, traditional to simplified; blanks and controls to a space;
    invisible ones dropped."""
    table: dict[int, int | None] = {ord("\u3000"): ord(" "), **_simplified()}
    table.update({full: full - 0xFEE0 for full in range(0xFF01, 0xFF5F)})
    for point in range(0x3000):
        category = unicodedata.category(chr(point))
        if category == "Zs" or category == "Cc":
            table[point] = ord(" ")
        elif category == "Cf":
            table[point] = None
    table[0xFEFF] = None
    table.update(dict.fromkeys(range(0xFE00, 0xFE10)))
    table.update(dict.fromkeys(range(0xD800, 0xE000), 0xFFFD))
    return table


_TABLE = _translation()


def normalise(text: str) -> str:
    """The form of a text that the tokenizer sees.

    Full-width letters and marks become half-width, traditional characters simplified ones, every kind of blank one
    space, invisible characters go, lone surrogates become U+FFFD, and blanks between Chinese characters go.
    ``"ＡＩ　產 業"`` -> ``"AI 产业"``.
    """
    return _SPACE_IN_CHINESE.sub("", text.translate(_TABLE)).strip()


def normalise_with_offsets(text: str) -> tuple[str, list[int]]:
    """`normalise`, and for each character of the result the index in ``text`` that it came from.

    ``"补　贴"`` -> ``("补贴", [0, 2])``.
    """
    kept = [(i, _TABLE.get(ord(char), ord(char))) for i, char in enumerate(text)]
    points = [(i, point) for i, point in kept if point is not None]
    translated = "".join(map(chr, (point for _, point in points)))
    dropped = {i for match in _SPACE_IN_CHINESE.finditer(translated) for i in range(*match.span())}
    start = len(translated) - len(translated.lstrip())
    end = len(translated.rstrip())
    keep = [i for i in range(start, end) if i not in dropped]
    return "".join(translated[i] for i in keep), [points[i][0] for i in keep]


def is_blank(text: str) -> bool:
    """Whether nothing readable is left: empty, blanks, or controls and invisible characters alone."""
    return all(char.isspace() or unicodedata.category(char) in _INVISIBLE for char in text)
