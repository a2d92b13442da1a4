"""Rows as a table for a terminal, aligned although a Chinese character is two columns wide. Knows neither files nor
models."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable, Iterator

from serving.rows import FACET_KEYS, Row, Tag
from serving.summary import DocumentSummary, RunSummary

TAG_WIDTH = 34
MIN_TEXT_WIDTH = 24


def char_width(char: str) -> int:
    """Columns a character takes: ``"补"`` -> 2, ``"a"`` -> 1, a combining mark -> 0."""
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def width(text: str) -> int:
    """Columns of a text: ``"补贴a"`` -> 5."""
    return sum(map(char_width, text))


def printable(text: str) -> str:
    """One line without controls, which could move a terminal's cursor: ``"a\\nb\\x1b[2J"`` -> ``"a b [2J"``."""
    plain = "".join(" " if unicodedata.category(char).startswith(("C", "Z")) else char for char in text)
    return " ".join(plain.split())


def fit(text: str, columns: int) -> str:
    """Cut or padded to exactly ``columns``: ``fit("资金补贴", 5)`` -> ``"资金…"``, ``fit("补", 4)`` -> ``"补  "``."""
    if width(text) > columns:
        kept, room = "", columns - 1
        for char in text:
            room -= char_width(char)
            if room < 0:
                break
            kept += char
        text = kept + "…"
    return text + " " * (columns - width(text))


def table(rows: Iterable[Row], columns: int) -> Iterator[str]:
    """The lines of a table, a block a document: number, start of the paragraph, tags with scores.

    Args:
        columns: Width of the terminal.
    """
    text_width = max(columns - 5 - 2 * (TAG_WIDTH + 2), MIN_TEXT_WIDTH)
    doc = None
    for row in rows:
        if row["doc"] != doc:
            doc = row["doc"]
            head = f"{'#':>4} {fit('段落', text_width)}  {fit('政策工具', TAG_WIDTH)}  行业"
            yield from ("", f"== {printable(doc)}", head, "-" * min(columns, width(head) + TAG_WIDTH))
        yield from (line.rstrip() for line in _lines(row, text_width))


def _lines(row: Row, text_width: int) -> Iterator[str]:
    if row["status"] == "rejected":
        where = f"第 {row['line']} 行" if "line" in row else "文件"
        yield f"   ! {where}未能读取: {printable(row['error'])}"
        return
    start = fit(printable(row.get("text", row["id"])), text_width)
    if row["status"] == "furniture":
        yield f"{row['index']:>4} {start}  (页面附加信息, 不标注)"
        return
    cells = [_wrapped(row[key]) for key in FACET_KEYS.values()]
    for number, (left, right) in enumerate(itertools.zip_longest(*cells, fillvalue="")):
        head = f"{row['index']:>4} {start}" if number == 0 else " " * (5 + text_width)
        note = "  [截断]" if row["truncated"] and number == 0 else ""
        yield f"{head}  {fit(left, TAG_WIDTH)}  {fit(right, TAG_WIDTH)}{note}"


def _wrapped(tags: list[Tag]) -> list[str]:
    """Tags in lines of at most `TAG_WIDTH` columns; ``["-"]`` if there are none."""
    lines = [""]
    for tag in tags:
        piece = f"{tag['name']} {tag['score']:.2f}"
        if lines[-1] and width(lines[-1]) + 2 + width(piece) > TAG_WIDTH:
            lines.append("")
        lines[-1] += f"  {piece}" if lines[-1] else piece
    return lines if tags else ["-"]


def summary_lines(summary: RunSummary) -> Iterator[str]:
    """The lines of a summary: each document, then the whole run where there is more than one document."""
    for document in summary.documents.values():
        yield from _summary(f"{printable(document.doc)}", document, summary.names)
    if len(summary.documents) > 1:
        yield from _summary(f"合计 {len(summary.documents)} 个文档", summary.total, summary.names)


def _summary(title: str, document: DocumentSummary, names: dict[str, str]) -> Iterator[str]:
    yield ""
    yield (
        f"== {title}: 标注 {document.tagged} 段 (其中 {document.untagged} 段无标签), "
        f"附加信息 {document.furniture} 段, 拒绝 {document.rejected} 项"
    )
    for label_id, count in document.paragraphs.most_common():
        share = document.share(label_id)
        yield f"   {fit(names[label_id], 20)} {count:>5} 段  {share:>6.1%} {'█' * round(30 * share)}".rstrip()
