"""Cuts the lines of a government document into paragraphs. Knows neither files nor labels.

Every non-blank line ends in exactly one paragraph. Lines that a web page adds around the document (the font
size switch 「【字号」, 「附件下载」, the metadata table, the page title with the site's name, page numbers) become
paragraphs of the kind ``furniture``: they are written out, so that nothing is lost, but never tagged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from policytag.text import Document, Kind, Paragraph, is_blank, normalise

_NUMERAL = "[一二三四五六七八九十百零〇]+"
_NUMBER = rf"(?:{_NUMERAL}|\d+)"

# All patterns are matched against `normalise(line)`: half-width marks, no blanks between Chinese characters.
# Level -> the numbering that opens it, outermost first. Level 0 is the title.
_MARKERS = (
    (1, re.compile(rf"第{_NUMBER}(?:编|部分|篇)")),
    (2, re.compile(rf"第{_NUMBER}章")),
    (3, re.compile(rf"第{_NUMBER}节")),
    (4, re.compile(rf"{_NUMERAL}[、.]|第{_NUMBER}条")),
    (5, re.compile(rf"\({_NUMERAL}\)")),
    (6, re.compile(r"\d{1,2}[、.](?!\d)")),
    (7, re.compile(r"\(\d{1,2}\)|[①-⑳]")),
)
# Opens a paragraph without being a heading: 一是…, 第一,…, ——…, 附件:…, 联系电话:…
_OPENER = re.compile(
    rf"{_NUMERAL}是|第{_NUMERAL}[,、]|首先|其次|最后|[—–-]{{1,2}}|[•·●■◆★※]|\d{{1,2}}(?=[\u4e00-\u9fff])(?![年月日])"
    r"|附件|[^,。;]{1,10}:"
)
_DATE = re.compile(r"(?:\d{4}|[二〇○零一二三四五六七八九]{4})年.{1,3}月(?:.{1,3}日)?$")
_TERMINAL = tuple('。…!?;:.」』)】》”"')
_CONTINUES = tuple(",、")
_SENTENCE_INSIDE = re.compile(r"[。;!?](?=.)")
_TITLE_END = re.compile(
    r"(?:方案|意见|办法|通知|答复|复函|函|报告|规划|措施|要点|细则|规定|条例|决定|公告|通告|计划|纲要|政策|指南|清单|讲话|批复)"
    r"(?:\([^()]{1,12}\))?$"
)
_FURNITURE = re.compile(
    r"[•·●|]?\s*(?:【字[号体]|字[号体]:|【打印|打印(?:本页|此页)?$|关闭(?:窗口|本页)?$|返回(?:顶部|首页)|上一篇|下一篇|分享到?:?$|扫一扫|当前页二维码"
    r"|文件预览|附件下载|相关(?:文章|附件|链接|新闻)$|浏览次数|阅读次数|责任编辑|您(?:当前|现在)?的?位置|当前位置|首页\s*>"
    r"|版权所有|主办单位:|网站地图|.{0,4}ICP备"
    r"|(?:索引号|信息索引|信息来源|所属类目|主题分类|体裁|发布日期|发布时间|发布机构|发文字号|发文日期|发文机关|生效日期"
    r"|成文日期|公开类别|公开属性|公开方式|机构名称|关键词|文号|有效性|废止日期|办理结果|来源):"
    r"|[—–-]?\s*(?:第\s*)?\d{1,4}(?:\s*页)?(?:\s*/?\s*共\s*\d+\s*页)?\s*[—–-]?$)"
)
_PAGE_TITLE = re.compile(r"_.*(?:门户网站|人民政府|政府网站?|官网|委员会|局)$")

MAX_HEADING_CHARS = 60
MIN_WRAPPED_CHARS = 25
"""A line shorter than this that stops without a full stop is a heading or a signature, not a wrapped line."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a document, with what its format says of it.

    Attributes:
        text: Without line breaks.
        level: Where the format calls it a heading: 1 for the outermost, 0 for the title; else None.
        row: Whether it is the row of a table: no heading, and never joined with its neighbours.
    """

    text: str
    level: int | None = None
    row: bool = False


@dataclass(slots=True)
class _Block:
    lines: list[int]
    pieces: list[str]  # joined once: a text that grows line by line is copied as often
    kind: Kind
    level: int
    last_line: str  # normalised

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def segment(text: str, doc_id: str, source: str = "") -> Document:
    """Cuts a plain text into paragraphs.

    Args:
        text: The whole document; lines end in LF, CR or CRLF.
        doc_id: Becomes the paragraphs' ``doc_id`` and the stem of their ids.
        source: Where the text came from; ``doc_id`` if empty.

    Returns:
        The document. The union of its paragraphs' ``lines`` is the set of non-blank lines, each once.

    Example:
        ``"一、总体要求\\n加快发展,\\n提质增效。"`` -> the heading ``一、总体要求`` and the paragraph
        ``加快发展,提质增效。`` under it.
    """
    return segment_lines(map(Line, re.split(r"\r\n|\r|\n", text)), doc_id, source)


def segment_lines(lines: Iterable[Line], doc_id: str, source: str = "") -> Document:
    """`segment` for a format that knows which lines are headings or rows of a table.

    A heading's numbering gives its level where it has one, its style where it has none.
    """
    paragraphs: list[Paragraph] = []
    path: list[tuple[int, str]] = []
    title = ""
    for block in _blocks(lines):
        if block.kind == "heading":
            while path and path[-1][0] >= block.level:
                path.pop()
        headings = tuple(heading for _, heading in path) if block.kind != "furniture" else ()
        index, joined = len(paragraphs), block.text
        paragraphs.append(
            Paragraph(f"{doc_id}#{index}", doc_id, index, joined, headings, block.kind, tuple(block.lines))
        )
        if block.kind == "heading":
            path.append((block.level, joined))
            title = title or (joined if block.level == 0 else "")
    return Document(doc_id, title or doc_id, tuple(paragraphs), source or doc_id)


def _blocks(lines: Iterable[Line]) -> Iterator[_Block]:
    """Lines, classified, with wrapped ones rejoined."""
    pending: _Block | None = None
    for number, line in enumerate(lines, start=1):
        text = line.text.strip("\ufeff \t\u3000\u00a0\v\f")
        if not text.strip():
            continue
        plain = normalise(text)
        kind, level = _kind(line, plain)
        if pending and kind == "body" and not line.row and _continues(pending, plain):
            pending.pieces.append(_glue(pending.pieces[-1], text) + text)
            pending.lines.append(number)
            pending.last_line = plain
            continue
        if pending:
            yield pending
        pending = _Block([number], [text], kind, level, "" if line.row else plain)
    if pending:
        yield pending


def _kind(line: Line, plain: str) -> tuple[Kind, int]:
    """Kind and level, the format's word included."""
    kind, level = _classify(plain)
    if line.row and kind == "heading":
        return "body", 0
    if line.level is not None and kind == "body" and len(plain) <= MAX_HEADING_CHARS:
        return "heading", line.level
    return kind, level


def _classify(line: str) -> tuple[Kind, int]:
    """``"(二)优化服务"`` -> ``("heading", 5)``; ``"附件下载"`` -> ``("furniture", 0)``."""
    if is_blank(line):  # invisible characters alone
        return "furniture", 0
    if len(line) > MAX_HEADING_CHARS:
        return "body", 0
    if _FURNITURE.match(line) or _PAGE_TITLE.search(line):
        return "furniture", 0
    # 「1、完善服务;」 is an item of a list, not a heading.
    if _SENTENCE_INSIDE.search(line) or line.endswith(";"):
        return "body", 0
    for level, marker in _MARKERS:
        if marker.match(line):
            return "heading", level
    if _TITLE_END.search(line) and not _OPENER.match(line):
        return "heading", 0
    return "body", 0


def opens(line: str) -> bool:
    """Whether a line starts a paragraph by what it opens with: ``"(三)人才"``, ``"第六条"``, ``"二是优化"``, a date."""
    plain = normalise(line)
    return bool(_OPENER.match(plain) or _DATE.match(plain)) or any(marker.match(plain) for _, marker in _MARKERS)


def ends_sentence(line: str) -> bool:
    """Whether a line could be the last of a paragraph by its punctuation: ``"…推进。"``."""
    return normalise(line).endswith(_TERMINAL)


def _continues(block: _Block, line: str) -> bool:
    """Whether ``line`` goes on with the sentence in which ``block`` stops."""
    if block.kind != "body" or opens(line):
        return False
    if block.last_line.endswith(_CONTINUES):
        return True
    return len(block.last_line) >= MIN_WRAPPED_CHARS and not block.last_line.endswith(_TERMINAL)


def _glue(left: str, right: str) -> str:
    """A space where a wrap parted two Latin words, nothing inside Chinese text."""
    return " " if left[-1:].isascii() and left[-1:].isalnum() and right[:1].isascii() and right[:1].isalnum() else ""
