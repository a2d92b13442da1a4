import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from policytag import artifact
from policytag.encoding import Recipe
from policytag.errors import ArtifactError, InputError
from policytag.tagger import MAX_TEXTS_AT_ONCE, Tagger
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


def test_more_texts_than_are_held_at_once_come_back_in_order(tagger: Tagger) -> None:
    texts = ["补" * (1 + number % 7) if number % 3 else "才" for number in range(MAX_TEXTS_AT_ONCE + 5)]
    logits, truncated = tagger.logits(texts)
    wanted, _ = tagger.logits(["补", "才"])
    np.testing.assert_array_equal(logits, wanted[[0 if "补" in text else 1 for text in texts]])
    assert truncated.shape == (len(texts),)


@pytest.fixture
def two_forms(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model with an 8-bit form: in truth the same graph, recorded under the other name."""
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    shutil.copyfile(folder / "model.onnx", folder / "model.int8.onnx")
    rewrite_golden(folder, shift=0.0)
    return folder


def rewrite_golden(folder: Path, shift: float) -> None:
    golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    for entry in golden["texts"]:
        entry["logits_int8"] = [value + shift for value in entry["logits"]]
    (folder / "golden.json").write_text(json.dumps(golden), encoding="utf-8")
    before = json.loads((folder / "manifest.json").read_text())
    kept = {key: before[key] for key in ("taxonomy", "encoder", "data", "metrics", "versions")}
    artifact.seal(folder, recipe=Recipe(**before["recipe"]), **kept)


@pytest.mark.parametrize(("engine", "form"), [(None, "int8"), ("auto", "int8"), ("int8", "int8"), ("fp32", "fp32")])
def test_the_8_bit_form_is_preferred_and_either_can_be_asked_for(
    two_forms: Path, engine: str | None, form: str
) -> None:
    assert Tagger.load(two_forms, engine=engine).form == form


def test_the_environment_chooses_where_the_caller_does_not(two_forms: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLICYTAG_ENGINE", "fp32")
    assert Tagger.load(two_forms).form == "fp32"
    assert Tagger.load(two_forms, engine="int8").form == "int8"
    monkeypatch.setenv("POLICYTAG_ENGINE", "int4")
    with pytest.raises(InputError, match="engine 'int4'; expected auto, fp32 or int8"):
        Tagger.load(two_forms)


def test_a_folder_without_an_8_bit_form_serves_float32_and_says_so_if_asked_for_the_other(tiny_model: Path) -> None:
    assert Tagger.load(tiny_model).form == "fp32"
    with pytest.raises(ArtifactError, match=r"has no model\.int8\.onnx"):
        Tagger.load(tiny_model, engine="int8")


def test_where_the_processor_gives_other_8_bit_answers_float32_is_served(
    two_forms: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rewrite_golden(two_forms, shift=0.2)
    assert Tagger.load(two_forms).form == "fp32"
    assert "using fp32" in caplog.text
    with pytest.raises(ArtifactError, match=r"text 0 gives logits 0\.2 away .* at most 0\.15 \(int8\)"):
        Tagger.load(two_forms, engine="int8")


def test_an_8_bit_form_without_recorded_answers_is_refused(two_forms: Path, tiny_model: Path) -> None:
    shutil.copyfile(tiny_model / "golden.json", two_forms / "golden.json")
    before = json.loads((two_forms / "manifest.json").read_text())
    kept = {key: before[key] for key in ("taxonomy", "encoder", "data", "metrics", "versions")}
    artifact.seal(two_forms, recipe=Recipe(**before["recipe"]), **kept)
    with pytest.raises(ArtifactError, match="18 logits each for fp32 and int8"):
        Tagger.load(two_forms)
