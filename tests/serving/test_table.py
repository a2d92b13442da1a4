"""The terminal table: widths of Chinese text, and what a row looks like."""

from __future__ import annotations

import pytest

from serving.rows import Row
from serving.summary import RunSummary
from serving.table import fit, printable, summary_lines, table, width


def row(text: str = "对企业给予补贴。", **changes: object) -> Row:
    base: Row = {
        "id": "a#0",
        "doc": "a.txt",
        "index": 0,
        "headings": [],
        "text": text,
        "status": "ok",
        "instruments": [{"id": "subsidy", "name": "资金补贴", "score": 0.9526}],
        "industries": [],
        "truncated": False,
        "model": "v",
    }
    return base | changes


@pytest.mark.parametrize(("text", "columns"), [("", 0), ("abc", 3), ("补贴", 4), ("补a", 3), ("e\u0301", 1), ("（", 2)])
def test_a_chinese_character_is_two_columns_wide(text: str, columns: int) -> None:
    assert width(text) == columns


@pytest.mark.parametrize("columns", range(1, 9))
def test_fit_gives_exactly_the_columns_asked_for(columns: int) -> None:
    assert width(fit("资金补贴", columns)) == columns


def test_fit_marks_what_it_cut() -> None:
    assert fit("资金补贴", 5) == "资金…"


def test_controls_that_would_move_the_cursor_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b[2Jb\n\u202ec\ud800") == "a [2Jb c"


def test_columns_line_up_below_each_other() -> None:
    lines = list(table([row(), row("ASCII text", index=1)], 120))
    assert lines[1] == "== a.txt"
    assert width(lines[4][: lines[4].index("资金补贴")]) == width(lines[5][: lines[5].index("资金补贴")])


def test_many_tags_go_on_in_the_next_line() -> None:
    tags = [{"id": f"l{i}", "name": "建筑房地产", "score": 0.9} for i in range(3)]
    lines = list(table([row(industries=tags)], 120))
    assert sum(line.count("建筑房地产 0.90") for line in lines) == 3
    assert all(width(line) <= 120 for line in lines)


def test_furniture_and_rejected_rows_say_so() -> None:
    rejected = {"doc": "a.txt", "line": 3, "status": "rejected", "error": "not JSON"}
    lines = list(table([row(status="furniture", instruments=[]), rejected], 120))
    assert "页面附加信息" in lines[-2]
    assert lines[-1] == "   ! 第 3 行未能读取: not JSON"


def test_the_summary_counts_paragraphs_and_the_share_of_text() -> None:
    summary = RunSummary()
    for each in (row("补" * 30), row("无" * 10, instruments=[]), row(status="furniture", instruments=[])):
        summary.add(each)
    document = summary.documents["a.txt"]
    assert (document.tagged, document.untagged, document.furniture) == (2, 1, 1)
    assert document.share("subsidy") == 0.75
    assert any("资金补贴" in line and "1 段" in line and "75.0%" in line for line in summary_lines(summary))


def test_without_text_the_share_is_one_of_paragraphs() -> None:
    summary = RunSummary()
    for instruments in (row()["instruments"], []):
        each = row(instruments=instruments)
        del each["text"]
        summary.add(each)
    assert summary.total.share("subsidy") == 0.5


def test_instrument_and_industry_of_one_paragraph_are_counted_together() -> None:
    summary = RunSummary()
    summary.add(row(industries=[{"id": "materials", "name": "新材料", "score": 0.9}]))
    assert summary.together == {("subsidy", "materials"): 1}
