"""What a reader of the guideline would expect of the shipped model, in pairs that differ in one thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from policytag.tagger import Tagger
from policytag.text import Paragraph
from tests.model.minimal_pairs import MINIMAL_PAIRS

MIN_PASS_SHARE = 0.9


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger.load(Path("models/current"))


def tags(tagger: Tagger, *texts: str) -> list[set[str]]:
    predictions = tagger.tag([Paragraph(str(i), "d", i, text) for i, text in enumerate(texts)])
    return [{score.label_id for score in p.scores if score.assigned} for p in predictions]


def probability(tagger: Tagger, label: str, text: str) -> float:
    [prediction] = tagger.tag([Paragraph("0", "d", 0, text)])
    return prediction.scores[tagger.taxonomy.column(label)].probability


def wrong_pairs(tagger: Tagger) -> list[str]:
    """The pairs of which a text has its label wrong, each with what is wrong."""
    found = []
    for label, positive, negative in MINIMAL_PAIRS:
        with_label, without = tags(tagger, positive, negative)
        missed = [f"{label} missed: {positive}"] if label not in with_label else []
        extra = [f"{label} wrongly: {negative}"] if label in without else []
        found += ["; ".join(missed + extra)] if missed or extra else []
    return found


def test_minimal_pairs_are_told_apart(tagger: Tagger) -> None:
    wrong = wrong_pairs(tagger)
    print(f"{len(MINIMAL_PAIRS) - len(wrong)} of {len(MINIMAL_PAIRS)} pairs right", *wrong, sep="\n")  # pytest -s
    assert len(wrong) <= (1 - MIN_PASS_SHARE) * len(MINIMAL_PAIRS)


@pytest.mark.parametrize("text", ["二〇二三年五月六日", "第六章 附 则", "联系电话:12345678", "特此通知。"])
def test_boilerplate_gets_no_tag(tagger: Tagger, text: str) -> None:
    assert tags(tagger, text) == [set()]


@pytest.mark.parametrize("change", [("上海", "成都"), ("50万元", "80万元"), ("2023年", "2019年")])
def test_places_amounts_and_years_do_not_change_the_tags(tagger: Tagger, change: tuple[str, str]) -> None:
    text = "2023年,上海对新认定的生物医药企业技术中心给予最高50万元奖励,引进领军人才。"
    one, other = tags(tagger, text, text.replace(*change))
    assert one == other
    assert {"subsidy", "biomedicine"} <= one


def test_width_and_blanks_do_not_change_the_scores(tagger: Tagger) -> None:
    plain = "对AI企业给予补贴,支持人才培养。"
    for other in ("对ＡＩ企业给予补贴，支持人才培养。", "对AI企业 给予\n补贴,支持　人才培养。"):
        assert probability(tagger, "subsidy", other) == pytest.approx(probability(tagger, "subsidy", plain), abs=1e-4)


@pytest.mark.parametrize(
    ("label", "text", "more"),
    [
        ("subsidy", "支持企业技术改造。", "对项目给予最高100万元补助。"),
        ("talent", "支持企业发展。", "引进领军人才,建设人才公寓。"),
        ("finance", "支持企业发展。", "设立产业基金,提供贷款担保。"),
        ("agriculture", "支持企业发展。", "做强种业和农产品加工业。"),
    ],
)
def test_evidence_that_is_added_raises_the_probability(tagger: Tagger, label: str, text: str, more: str) -> None:
    assert probability(tagger, label, text + more) > probability(tagger, label, text)
