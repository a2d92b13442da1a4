import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policytag.segmentation import segment
from policytag.text import Paragraph

CORPUS = sorted(Path("labels/corpus").glob("*.txt"))


def paragraphs(text: str) -> tuple[Paragraph, ...]:
    return segment(text, "d").paragraphs


def kinds(text: str) -> list[str]:
    return [paragraph.kind for paragraph in paragraphs(text)]


def test_the_corpus_has_five_documents_and_220_lines_each_in_exactly_one_paragraph() -> None:
    total = 0
    for path in CORPUS:
        text = path.read_text(encoding="utf-8")
        expected = [number for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
        assert [line for p in segment(text, path.name).paragraphs for line in p.lines] == expected
        total += len(expected)
    assert (len(CORPUS), total) == (5, 220)


def test_no_character_of_the_corpus_is_lost() -> None:
    for path in CORPUS:
        text = path.read_text(encoding="utf-8")
        got = "".join(p.text for p in segment(text, path.name).paragraphs)
        assert "".join(got.split()) == "".join(text.split())


def test_the_wrapped_lines_of_document_001_are_rejoined() -> None:
    path = CORPUS[1]
    document = segment(path.read_text(encoding="utf-8"), path.name)
    joined = [p.lines for p in document.paragraphs if len(p.lines) > 1]
    assert joined == [(15, 17), (33, 35), (41, 43), (49, 51), (57, 59)]


def test_the_furniture_of_document_000_is_flagged_and_nothing_else() -> None:
    path = CORPUS[0]
    document = segment(path.read_text(encoding="utf-8"), path.name)
    furniture = [line for p in document.paragraphs if p.kind == "furniture" for line in p.lines]
    assert furniture == [1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 82, 84, 86, 88]


@given(st.text(alphabet="一二第条章(（)）1、.。,，是附件:：\n\r 　甲乙丙abc", max_size=200))
def test_any_text_keeps_all_its_lines_once_and_in_order(text: str) -> None:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    expected = [number for number, line in enumerate(lines, start=1) if line.strip()]
    assert [line for p in paragraphs(text) for line in p.lines] == expected


def test_headings_nest_by_their_numbering() -> None:
    text = (
        "某市产业发展若干措施\n一、总体要求\n(一)目标\n到2025年。\n(二)原则\n坚持创新。\n二、任务\n1.强链\n补齐短板。"
    )
    assert [(p.text, p.headings) for p in paragraphs(text) if p.kind == "body"] == [
        ("到2025年。", ("某市产业发展若干措施", "一、总体要求", "(一)目标")),
        ("坚持创新。", ("某市产业发展若干措施", "一、总体要求", "(二)原则")),
        ("补齐短板。", ("某市产业发展若干措施", "二、任务", "1.强链")),
    ]


def test_the_first_title_like_line_is_the_documents_title() -> None:
    assert segment("各有关单位:\n关于支持人才发展的若干措施\n正文。", "d").title == "关于支持人才发展的若干措施"


@pytest.mark.parametrize(
    "line", ["第三章 附则", "第一节 目标", "三、保障", "（二）优化服务", "2.做强产业", "(3)加强协同", "第六条 租金补贴"]
)
def test_numbered_short_lines_are_headings(line: str) -> None:
    assert kinds(line) == ["heading"]


@pytest.mark.parametrize(
    "line",
    [
        "第六条 对入驻企业给予三年租金补贴。补贴按年拨付。",
        "1、优化服务。继续深入推进简政放权,落实各项政策。",
        "2023年是全面贯彻党的二十大精神的开局之年。",
        "1.5亿元资金已经到位",
        "1.完善公共服务平台;",
    ],
)
def test_numbered_sentences_are_body_text(line: str) -> None:
    assert kinds(line) == ["body"]


@pytest.mark.parametrize(
    "line",
    [
        "【字号 大 中 小】",
        "• 附件下载",
        "索引号: | A1 |",
        "体       裁: 其他",
        "- 12 -",
        "第3页 共10页",
        "打印本页",
        "答复_公开_某市人民政府门户网站",
    ],
)
def test_page_furniture_is_flagged(line: str) -> None:
    assert kinds(line) == ["furniture"]


@pytest.mark.parametrize(
    "line",
    [
        "打印机产业发展迅速,产值突破百亿元。",
        "来源于财政的资金占三成。",
        "关键词搜索服务企业达到百家。",
        "2021年4月30日",
    ],
)
def test_text_that_only_begins_like_furniture_is_not(line: str) -> None:
    assert kinds(line) == ["body"]


def test_a_line_that_stops_mid_sentence_goes_on_in_the_next() -> None:
    first = "为全面贯彻落实上级关于推动大众创业万众创新的各项部署要求进一步激发市场"
    assert [p.text for p in paragraphs(f"{first}\n\n主体活力,制定本方案。")] == [f"{first}主体活力,制定本方案。"]


def test_a_wrapped_line_does_not_swallow_the_next_item_or_the_date() -> None:
    first = "一是全力筑牢机制基底,持续深化改革,完成年度各项改革任务和环境建设各项工作"
    assert len(paragraphs(f"{first}\n二是优化创新环境。")) == 2
    assert len(paragraphs("上海市嘉定区经济委员会和上海市嘉定区发展和改革委员会及有关单位\n2022年1月28日")) == 2


def test_a_sentence_of_very_many_lines_is_joined_in_time_that_grows_with_its_length() -> None:
    started = time.process_time()
    [joined] = paragraphs("加强统筹协调,\n" * 100_000)
    assert len(joined.text) == 7 * 100_000
    assert time.process_time() - started < 5


def test_latin_words_are_parted_where_the_wrap_was() -> None:
    assert [p.text for p in paragraphs("the quick brown fox jumps over the lazy\ndog again.")] == [
        "the quick brown fox jumps over the lazy dog again."
    ]


def test_paragraph_ids_are_the_document_and_the_place_in_it() -> None:
    assert [p.id for p in paragraphs("甲。\n乙。")] == ["d#0", "d#1"]
