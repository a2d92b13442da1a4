"""Documents of every format: the paragraphs of the text they were made from, and what each format adds."""

from __future__ import annotations

import io
import re
from pathlib import Path

import docx
import pytest
from docx.oxml import parse_xml

from policytag.readers import from_html, from_markdown, from_pdf, parse_bytes, parse_file
from policytag.segmentation import Line

CORPUS = sorted(Path("labels/corpus").glob("*.txt"))
FIXTURES = Path("tests/fixtures/formats")
FORMATS = ("txt", "md", "html", "docx", "pdf", "csv", "tsv", "xlsx", "jsonl", "parquet")


def plain(text: str) -> str:
    return re.sub(r"\s", "", text)


def paragraphs(path: Path) -> list[str]:
    return [plain(paragraph.text) for paragraph in parse_file(path).document.paragraphs]


@pytest.mark.parametrize("fmt", FORMATS)
def test_every_format_gives_the_paragraphs_of_the_text_it_was_made_from(fmt: str) -> None:
    wanted = found = 0
    for path in CORPUS:
        got = set(paragraphs(FIXTURES / f"{path.name[:3]}.{fmt}"))
        expected = paragraphs(path)
        wanted += len(expected)
        found += sum(text in got for text in expected)
    assert wanted == 215
    assert found / wanted >= 0.99


@pytest.mark.parametrize("fmt", ["html", "docx", "pdf", "md"])
def test_nothing_is_added_that_is_not_in_the_text(fmt: str) -> None:
    for path in CORPUS:
        assert set(paragraphs(FIXTURES / f"{path.name[:3]}.{fmt}")) <= set(paragraphs(path))


def test_the_encoding_is_told_where_a_format_has_one() -> None:
    found = {(p.format, p.encoding) for p in (parse_file(FIXTURES / f"001.{fmt}") for fmt in FORMATS)}
    assert found >= {("txt", "utf-16"), ("html", "gb18030"), ("tsv", "gb18030"), ("pdf", None), ("csv", "utf-8")}


def word(build: str) -> bytes:
    document = docx.Document()
    if build == "headings":
        document.add_heading("关于支持产业发展的若干措施", 0)
        document.add_heading("总体要求", 1)
        document.add_paragraph("对企业给予补贴。")
        document.add_heading("一、资金", 1)
        document.add_paragraph("安排专项资金。\n逐年增长。")
    else:
        document.add_paragraph("扶持标准如下:")
        table = document.add_table(3, 3)
        for row, texts in enumerate((["项目", "对象", "金额"], ["研发", "企业", "100万元"], ["人才", "高校", ""])):
            for column, text in enumerate(texts):
                table.cell(row, column).text = text
        table.cell(2, 1).merge(table.cell(2, 2))
        frame = document.add_table(1, 1).cell(0, 0)
        frame.text = "联系电话:12345"
        frame.add_paragraph("对企业给予补贴。")
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def test_headings_of_a_word_document_are_known_by_their_style_and_their_numbering() -> None:
    document = parse_bytes(word("headings"), "a.docx").document
    assert document.title == "关于支持产业发展的若干措施"
    assert [(p.text, p.kind, p.headings[1:]) for p in document.paragraphs[1:]] == [
        ("总体要求", "heading", ()),
        ("对企业给予补贴。", "body", ("总体要求",)),
        ("一、资金", "heading", ("总体要求",)),
        ("安排专项资金。", "body", ("总体要求", "一、资金")),
        ("逐年增长。", "body", ("总体要求", "一、资金")),
    ]


def test_tables_of_a_word_document_come_in_their_place_a_row_a_paragraph() -> None:
    document = parse_bytes(word("tables"), "a.docx").document
    assert [paragraph.text for paragraph in document.paragraphs] == [
        "扶持标准如下:",
        "项目 | 对象 | 金额",
        "研发 | 企业 | 100万元",
        "人才 | 高校",
        "联系电话:12345",
        "对企业给予补贴。",
    ]


WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
TEXT = "<w:r><w:t>补贴。</w:t></w:r>"
BOX = "<w:r><w:pict><w:txbxContent><w:p><w:r><w:t>文本框。</w:t></w:r></w:p></w:txbxContent></w:pict></w:r>"
PIECES = {
    "content control": (
        "<w:sdt><w:sdtContent><w:p><w:r><w:t>补贴。</w:t></w:r></w:p></w:sdtContent></w:sdt>",
        ["补贴。"],
    ),
    "insertion": (f"<w:p><w:r><w:t>给予</w:t></w:r><w:ins>{TEXT}</w:ins></w:p>", ["给予补贴。"]),
    "deletion": (
        "<w:p><w:del><w:r><w:delText>不</w:delText></w:r></w:del><w:r><w:t>补贴。</w:t></w:r></w:p>",
        ["补贴。"],
    ),
    "link": ("<w:p><w:hyperlink><w:r><w:t>补贴</w:t></w:r></w:hyperlink><w:r><w:t>。</w:t></w:r></w:p>", ["补贴。"]),
    "text box": (f"<w:p>{BOX}{TEXT}</w:p>", ["补贴。", "文本框。"]),
}


@pytest.mark.parametrize("xml", PIECES)
def test_text_of_a_word_document_is_found_wherever_it_hides(xml: str) -> None:
    document = docx.Document()
    body = document.element.body
    fragment, expected = PIECES[xml]
    for element in reversed(list(parse_xml(f"<w:body {WORD}>{fragment}</w:body>"))):
        body.insert(0, element)
    file = io.BytesIO()
    document.save(file)
    parsed = parse_bytes(file.getvalue(), "a.docx").document
    assert [paragraph.text for paragraph in parsed.paragraphs] == expected


SENTENCE = "对新认定的企业技术中心,给予一次性奖励,最高不超过一百万元,由区财政承担。"
NAVIGATION = "<ul class=nav><li><a href=/>首页</a></li><li><a href=/a>政务公开</a></li></ul>"
FOOTER = "<div class=footer><p>版权所有 某市人民政府</p></div>"


def page(body: str) -> list[str]:
    text = f"<html><head><title>t</title></head><body>{NAVIGATION}{body}{FOOTER}</body></html>"
    return [line.text for line in from_html.lines(text) if line.text]


@pytest.mark.parametrize(
    "body",
    [
        f"<div id=zoom>{f'<p>{SENTENCE}</p>' * 3}</div>",
        f"<div>{'<br>　　'.join([SENTENCE] * 3)}</div>",
        f"<table><tr><td>{f'<p>{SENTENCE}</p>' * 3}</td></tr></table>",
        f"<div class=c>{f'<div class=s><span>{SENTENCE[:9]}</span>{SENTENCE[9:]}</div>' * 3}</div>",
        f"<div><div class=a><p>{SENTENCE}</p></div>{f'<div><p>{SENTENCE}</p></div>' * 2}</div>",
        f"<ol>{f'<li>{SENTENCE}</li>' * 3}</ol>",
        f"<article><section><p>{SENTENCE}</p></section><section><p>{SENTENCE}</p><p>{SENTENCE}</p></section></article>",
    ],
    ids=["paragraphs", "breaks", "layout table", "spans", "parts", "list", "sections"],
)
def test_all_of_an_article_is_kept_and_the_navigation_is_not(body: str) -> None:
    lines = page(body)
    assert [line.strip("　") for line in lines].count(SENTENCE) == 3
    assert not {"首页", "政务公开"} & set(lines)


def test_a_table_of_data_in_a_page_is_a_line_a_row() -> None:
    table = "<table><tr><th>项目</th><th>金额</th></tr><tr><td>研发<td>100万元</table>"
    lines = page(f"<div id=zoom><p>{SENTENCE}</p>{table}<p>{SENTENCE}</p></div>")
    assert lines == [SENTENCE, "项目 | 金额", "研发 | 100万元", SENTENCE]


def test_scripts_styles_and_hidden_forms_are_no_text() -> None:
    assert page(f"<script>var a='补贴';</script><style>p{{}}</style><form>搜索</form><p>{SENTENCE}</p>") == [SENTENCE]


def test_the_headline_stands_first_even_outside_the_article() -> None:
    lines = page(f"<h1>关于补贴的通知</h1><div class=wrap><div id=zoom>{f'<p>{SENTENCE}</p>' * 5}</div></div>")
    assert lines[0] == "关于补贴的通知"


def test_markdown_marks_are_left_out_and_headings_keep_their_level() -> None:
    text = "# 措施\n\n## 资金\n\n对**企业**给予[补贴](http://x)。\n第二行\n\n- 甲\n- 乙\n\n"
    text += "| 项目 | 金额 |\n|---|---|\n| 研发 | 1 |\n"
    assert list(from_markdown.lines(text)) == [
        Line("措施", 1),
        Line("资金", 2),
        Line("对企业给予补贴。"),
        Line("第二行"),
        Line("甲"),
        Line("乙"),
        Line("项目 | 金额", row=True),
        Line("研发 | 1", row=True),
    ]


def test_the_running_head_and_the_page_numbers_of_a_pdf_are_dropped() -> None:
    with (FIXTURES / "004.pdf").open("rb") as file:
        lines = [line.text for line in from_pdf.lines(file)]
    assert not [line for line in lines if "公开文件汇编" in line or re.fullmatch(r"\W*\d*\W*", line)]


def test_the_wrapped_lines_of_a_pdf_are_rejoined_over_pages() -> None:
    with (FIXTURES / "004.pdf").open("rb") as file:
        lines = [plain(line.text) for line in from_pdf.lines(file)]
    text = CORPUS[4].read_text(encoding="utf-8")
    longest = max((plain(line) for line in text.split("\n")), key=len)
    assert longest in lines
