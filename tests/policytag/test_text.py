import pytest
from hypothesis import given
from hypothesis import strategies as st

from policytag.text import is_blank, normalise, normalise_with_offsets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ＡＩ　产 业", "AI 产业"),
        ("资金\n补贴，５００万元", "资金补贴,500万元"),
        ("国\u200b家\ufeff级", "国家级"),
        ("5G networks", "5G networks"),
        ("\x00奖励\x07", "奖励"),
        ("坏\ud800字", "坏\ufffd字"),
        ("審批改革與創業補貼", "审批改革与创业补贴"),
        ("鄉裏後臺", "乡里后台"),
        ("补贴 ， 奖励（ 一次性 ）", "补贴,奖励(一次性)"),
    ],
)
def test_blanks_width_and_invisible_characters_are_evened_out(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_offsets_lead_back_to_the_original_characters() -> None:
    assert normalise_with_offsets("补　贴") == ("补贴", [0, 2])


@given(st.text())
def test_offsets_agree_with_normalise_on_any_text(text: str) -> None:
    plain, offsets = normalise_with_offsets(text)
    assert plain == normalise(text)
    assert len(offsets) == len(plain)
    assert offsets == sorted(set(offsets))
    assert all(0 <= offset < len(text) for offset in offsets)


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@pytest.mark.parametrize("text", ["", " \n\u3000", "\x00\x1f", "\u200b\ufeff", "\ud800"])
def test_text_without_a_readable_character_is_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize("text", ["甲", "。", "😀", " a "])
def test_text_with_a_readable_character_is_not_blank(text: str) -> None:
    assert not is_blank(text)
