from pathlib import Path

import numpy as np
import pytest

from policytag.errors import ArtifactError, InputError
from policytag.tagger import Tagger
from policytag.text import Paragraph


@pytest.fixture(scope="module")
def tagger(tiny_model: Path) -> Tagger:
    return Tagger.load(tiny_model)


def paragraph(text: str, name: str = "a") -> Paragraph:
    return Paragraph(name, "d", 0, text)


def tags(tagger: Tagger, *texts: str) -> list[list[str]]:
    predictions = tagger.tag([paragraph(text) for text in texts])
    facets = ("instrument", "industry")
    return [[s.label_id for f in facets for s in p.assigned(tagger.taxonomy, f)] for p in predictions]


def test_tags_come_in_input_order_most_probable_first(tagger: Tagger) -> None:
    assert tags(tagger, "软件产业补贴", "无", "人才补贴药") == [
        ["subsidy", "information_technology"],
        [],
        ["talent", "subsidy", "biomedicine"],
    ]


def test_a_tag_in_the_last_window_of_a_long_paragraph_is_found(tagger: Tagger) -> None:
    assert tags(tagger, "无" * 300 + "补") == [["subsidy"]]


def test_a_tag_beyond_the_limit_is_missed_and_the_prediction_says_so(tagger: Tagger) -> None:
    [prediction] = tagger.tag([paragraph("无" * 400 + "补")])
    assert prediction.truncated
    assert not any(score.assigned for score in prediction.scores)


def test_scores_do_not_depend_on_the_neighbours(tagger: Tagger) -> None:
    texts = ["补贴", "人才" * 40, "软件" * 9, "无"]
    alone = [tagger.tag([paragraph(text)])[0].scores for text in texts]
    together = [p.scores for p in tagger.tag([paragraph(text) for text in texts])]
    reverse = [p.scores for p in tagger.tag([paragraph(text) for text in texts[::-1]])][::-1]
    for one, other, third in zip(alone, together, reverse, strict=True):
        np.testing.assert_allclose([s.probability for s in one], [s.probability for s in other], atol=1e-6)
        np.testing.assert_allclose([s.probability for s in one], [s.probability for s in third], atol=1e-6)


def test_no_paragraphs_give_no_predictions(tagger: Tagger) -> None:
    assert tagger.tag([]) == []
    assert tagger.logits([])[0].shape == (0, 18)


def test_a_blank_paragraph_is_refused_by_its_id(tagger: Tagger) -> None:
    with pytest.raises(InputError, match="paragraph 'p7': text is blank"):
        tagger.tag([paragraph("补贴"), paragraph(" \u3000", "p7")])


def test_a_logit_that_is_not_finite_never_becomes_a_tag(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tagger = Tagger.load(tiny_model)
    monkeypatch.setattr(tagger.engine, "logits", lambda windows: np.full((len(windows), 18), np.nan, np.float32))
    with pytest.raises(ArtifactError, match="not finite"):
        tagger.tag([paragraph("补贴")])


@pytest.mark.parametrize("text", ["补\x00贴", "😀补", "𠮷补", "<b>补</b>", "補补", "\u202e补", "\ud800补", "Ａ补"])
def test_odd_characters_do_not_keep_their_neighbours_from_being_tagged(tagger: Tagger, text: str) -> None:
    assert tags(tagger, text) == [["subsidy"]]
