"""Evidence: the words whose loss takes a tag away, as places in the text that was given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policytag.evidence import COUNTS, MAX_WINDOWS, MAX_WORDS, Span, explain, without
from policytag.tagger import Prediction, Tagger
from policytag.text import Paragraph, is_blank, normalise

SUBSIDY, TALENT = "补", "才"


@pytest.fixture(scope="module")
def tagger(tiny_model: Path) -> Tagger:
    return Tagger.load(tiny_model)


def predict(tagger: Tagger, text: str) -> Prediction:
    [prediction] = tagger.tag([Paragraph("a", "", 0, text)])
    return prediction


def shown(tagger: Tagger, text: str) -> dict[str, list[str]]:
    """Label id -> the pieces of the text that are its evidence."""
    found = explain(tagger, predict(tagger, text))
    return {label: [text[span.start : span.end] for span in spans] for label, spans in found.items()}


def test_a_tag_rests_on_the_word_that_gives_it(tagger: Tagger) -> None:
    assert shown(tagger, "对企业给予补贴，引进人才。") == {"subsidy": ["补"], "talent": ["才"]}


def test_a_word_that_occurs_twice_is_shown_twice_although_neither_is_missed_alone(tagger: Tagger) -> None:
    [first, second] = explain(tagger, predict(tagger, "房租补贴和用电补助"))["subsidy"]
    assert (first.start, second.start) == (2, 7)
    assert first.weight == second.weight == pytest.approx(0.5)


def test_a_paragraph_without_tags_has_no_evidence(tagger: Tagger) -> None:
    assert explain(tagger, predict(tagger, "特此通知。")) == {}


def test_a_tag_that_no_word_gives_has_no_spans(tagger: Tagger) -> None:
    prediction = predict(tagger, "特此通知。")
    first = replace(prediction.scores[0], threshold=0.001, assigned=True)
    lowered = replace(prediction, scores=(first, *prediction.scores[1:]))
    assert explain(tagger, lowered) == {"subsidy": ()}


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("　　ＡＩ补贴", "补"),
        ("𠮷补😀", "补"),
        ("给予\r\n补\r贴", "补"),
        ("\ufeff\u200b补贴", "补"),
        ("\x00补", "补"),
        ("😀😀 补", "补"),
    ],
)
def test_places_are_those_of_the_text_as_it_was_given(tagger: Tagger, text: str, piece: str) -> None:
    assert shown(tagger, text) == {"subsidy": [piece]}


def test_words_side_by_side_are_one_span(tagger: Tagger) -> None:
    [span] = explain(tagger, predict(tagger, "给补、补贴"))["subsidy"]
    assert (span.start, span.end, span.weight) == (1, 4, pytest.approx(1.0))


def test_evidence_is_found_in_every_window_that_gives_the_tag(tagger: Tagger) -> None:
    """The tiny model reads 62 characters a window; these stand in the first and the third."""
    text = "补" + "文" * 140 + "补" + "文" * 20
    starts = {span.start for span in explain(tagger, predict(tagger, text))["subsidy"]}
    assert 0 in starts
    assert any(start <= 141 < start + 3 for start in starts)


def test_what_is_beyond_the_models_limit_is_no_evidence(tagger: Tagger) -> None:
    prediction = predict(tagger, "补" + "文" * 500 + "才")
    assert prediction.truncated
    assert list(explain(tagger, prediction)) == ["subsidy"]


def test_the_work_for_one_paragraph_is_bounded(tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    logits = type(tagger).logits
    monkeypatch.setattr(type(tagger), "logits", lambda self, texts: asked.append(len(texts)) or logits(self, texts))
    prediction = predict(tagger, "补才" * 200)
    asked.clear()
    explain(tagger, prediction)
    windows = len(tagger.encoder.spans(prediction.paragraph.text))
    assert windows > MAX_WINDOWS
    assert sum(asked) <= windows + MAX_WINDOWS * (MAX_WORDS + 1 + 2 * len(COUNTS))


TEXTS = st.lists(
    st.one_of(
        st.sampled_from(["补", "才", "药", " ", "　", "\r", "\n", "𠮷", "😀", "Ａ", "\ufeff", "。"]), st.characters()
    ),
    min_size=1,
    max_size=150,
).map("".join)


@given(TEXTS)
@example("补" * 70)
def test_evidence_lies_in_the_text_in_order_and_its_loss_is_felt(tagger: Tagger, text: str) -> None:
    if is_blank(text):
        return
    prediction = predict(tagger, text)
    found = explain(tagger, prediction)
    assert list(found) == [score.label_id for score in prediction.scores if score.assigned]
    assert found == explain(tagger, prediction)
    for label_id, spans in found.items():
        bounds = [bound for span in spans for bound in (span.start, span.end)]
        assert bounds == sorted(bounds)
        assert 0 <= bounds[0] < bounds[-1] <= len(text)
        assert sum(span.weight for span in spans) == pytest.approx(1)
        assert all(span.weight > 0 for span in spans)
        char = {"subsidy": SUBSIDY, "talent": TALENT}.get(label_id)
        if char:
            assert char in normalise("".join(text[span.start : span.end] for span in spans))
            if normalise(text).count(char) <= COUNTS[-1]:
                assert char not in normalise(without(text, spans))


@given(st.text(max_size=30), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted).map(tuple)))
def test_without_deletes_exactly_the_characters_of_its_pieces(text: str, pieces: list[tuple[int, int]]) -> None:
    gone = {i for start, end in pieces for i in range(start, end)}
    assert without(text, pieces) == "".join(char for i, char in enumerate(text) if i not in gone)


def test_without_takes_spans_too() -> None:
    assert without("给予补贴", [Span(2, 4, 1.0)]) == "给予"
