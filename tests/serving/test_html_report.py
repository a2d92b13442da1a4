"""The HTML report: nothing of the input is markup, nothing comes from a network, the figures are right."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from serving import report as report_module
from serving.cli import main


@pytest.fixture
def page(tmp_path: Path) -> str:
    """The report of two documents with hostile text and one file that cannot be read."""
    (tmp_path / "a.txt").write_text(
        "一、<b>总则</b>\n<script>alert(1)</script>软件企业补贴\"'&。\n附件下载<img src=x>\n无关内容。\n",
        encoding="utf-8",
    )
    (tmp_path / "b<u>.txt").write_text("软件补贴。\n", encoding="utf-8")
    (tmp_path / "c.txt").write_bytes(b"")
    out, html = tmp_path / "out.jsonl", tmp_path / "report.html"
    inputs = [str(tmp_path / name) for name in ("a.txt", "b<u>.txt", "c.txt")]
    assert main(["tag", *inputs, "-o", str(out), "--html", str(html)]) == 3
    return html.read_text(encoding="utf-8")


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]


def test_text_headings_and_file_names_are_never_markup(page: str) -> None:
    elements = _Elements()
    elements.feed(page)
    assert elements.tags.count("script") == 1
    assert not {"img", "u", "iframe", "link"} & set(elements.tags)
    assert not [name for name in elements.attributes if name.startswith("on")]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;软件企业补贴&#34;&#39;&amp;。" in page
    assert "b&lt;u&gt;.txt" in page


def test_the_report_needs_no_network(page: str) -> None:
    assert not re.findall(r"(?:src|href)\s*=|url\(|@import|https?://", page.replace("&lt;img src=x&gt;", ""))
    assert "default-src 'none'" in page


def test_the_heat_map_counts_paragraphs_with_both_tags(page: str) -> None:
    assert 'title="资金补贴 × 信息技术：2">2</td>' in page
    assert 'title="资金补贴 × 农业：0"></td>' in page


def test_the_bars_count_tags_a_document(page: str) -> None:
    assert 'aria-label="a.txt：资金补贴 1；"' in page


def test_furniture_is_shown_but_grey_and_files_that_failed_are_listed(page: str) -> None:
    assert 'class="furniture" data-tags=""' in page
    assert "<li>c.txt：empty document; expected at least one line of text</li>" in page


def test_headings_are_shown_as_such_whether_or_not_something_stands_under_them(tmp_path: Path) -> None:
    document, html = tmp_path / "a.txt", tmp_path / "report.html"
    document.write_text("一、总则\n软件补贴。\n二、附则\n", encoding="utf-8")
    main(["tag", str(document), "-o", str(tmp_path / "out"), "--html", str(html), "--no-text"])
    shown = re.findall(r'class="(ok[^"]*)"', html.read_text(encoding="utf-8"))
    assert shown == ["ok heading", "ok", "ok heading"]


def test_tiles_count_all_rows(page: str) -> None:
    tiles = re.findall(r"<li><b>(\d+)</b>(\S+?)</li>", page)
    assert {name: int(count) for count, name in tiles} == {
        "文档": 2,
        "标注段落": 4,
        "有标签": 2,
        "无标签": 2,
        "页面附加信息": 1,
        "未能读取": 1,
    }


def test_a_long_run_shows_its_beginning_and_counts_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_module, "MAX_PARAGRAPHS", 2)
    (tmp_path / "a.txt").write_text("补贴。\n人才。\n补贴。\n", encoding="utf-8")
    html = tmp_path / "report.html"
    main(["tag", str(tmp_path / "a.txt"), "-o", str(tmp_path / "out"), "--html", str(html)])
    page = html.read_text(encoding="utf-8")
    assert page.count("<article") == 2
    assert "另有 1 段未列出" in page
    assert "<b>3</b>标注段落" in page
