"""The model in models/current is whole, loads where it should, says the same everywhere, and is worth shipping."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from policytag.calibration import sigmoid
from policytag.segmentation import segment
from policytag.tagger import Tagger
from policytag.text import normalise

MODEL = Path("models/current")
METRICS = json.loads((MODEL / "metrics.json").read_text(encoding="utf-8"))
CORPUS = sorted(Path("labels/corpus").glob("*.txt"))
MAX_MEGABYTES = 40
MAX_UNKNOWN_SHARE = 0.0005


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger.load(MODEL, engine="fp32")


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return [line for file in CORPUS for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def test_the_folder_is_within_its_budget() -> None:
    assert sum(file.stat().st_size for file in MODEL.iterdir()) <= MAX_MEGABYTES * 1e6


def test_it_beats_the_baseline_on_both_facets() -> None:
    for facet in ("instrument", "industry"):
        assert METRICS["model"]["groups"][facet]["macro_f1"] > METRICS["baseline"]["groups"][facet]["macro_f1"]


def test_torch_and_onnx_runtime_give_the_same_logits_on_the_corpus(tagger: Tagger, lines: list[str]) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(MODEL).eval()
    got, _ = tagger.logits(lines)
    assert len(lines) == 220
    for line, row in zip(lines, got, strict=True):
        [encoded] = tagger.encoder.encode([line])
        with torch.inference_mode():
            rows = [model(input_ids=torch.tensor([window])).logits[0].numpy() for window in encoded.windows]
        np.testing.assert_allclose(row, np.max(rows, axis=0), atol=1e-4)


def test_a_transformers_pipeline_gives_the_probabilities_before_calibration(tagger: Tagger, lines: list[str]) -> None:
    transformers = pytest.importorskip("transformers")
    classify = transformers.pipeline(
        "text-classification", model=str(MODEL), top_k=None, function_to_apply="sigmoid", device="cpu"
    )
    texts = [normalise(line) for line in lines[::10]]
    expected = sigmoid(tagger.logits(texts)[0])
    for text, row in zip(texts, expected, strict=True):
        pieces = [text[tokens[0][0] : tokens[-1][1]] for tokens in tagger.encoder.spans(text)]
        answers = [{entry["label"]: entry["score"] for entry in answer} for answer in classify(pieces)]
        highest = [max(answer[label] for answer in answers) for label in tagger.taxonomy.ids]
        np.testing.assert_allclose(highest, row, atol=1e-4)


def test_hardly_a_token_of_what_is_tagged_is_unknown(tagger: Tagger) -> None:
    paragraphs = [p for file in CORPUS for p in segment(file.read_text(encoding="utf-8"), file.name).paragraphs]
    lines = [p.text for p in paragraphs if p.kind != "furniture"]
    rows = [json.loads(r) for r in Path("labels/annotations/authored.jsonl").read_text(encoding="utf-8").splitlines()]
    encoded = tagger.encoder.encode([*lines, *(row["text"] for row in rows)])
    tokens = [token for e in encoded for window in e.windows for token in window]
    assert tokens.count(tagger.encoder.unk_id) <= MAX_UNKNOWN_SHARE * len(tokens)


def test_every_paragraph_of_the_corpus_gets_a_finite_answer(tagger: Tagger) -> None:
    for file in CORPUS:
        body = [p for p in segment(file.read_text(encoding="utf-8"), file.name).paragraphs if p.kind != "furniture"]
        predictions = tagger.tag(body)
        assert [p.paragraph.id for p in predictions] == [p.id for p in body]
        assert not any(p.truncated for p in predictions)


def test_the_figures_in_models_readme_are_those_of_the_model() -> None:
    page = Path("models/README.md").read_text(encoding="utf-8")
    for name, group in (("instruments", "instrument"), ("industries", "industry"), ("four core", "core_instruments")):
        match = re.search(rf"^\| {name}[^|]*\| ([\d.]+) [^|]*\| ([\d.]+) \|", page, re.M)
        assert match, name
        assert float(match[1]) == pytest.approx(METRICS["model"]["groups"][group]["macro_f1"], abs=5e-4)
        assert float(match[2]) == pytest.approx(METRICS["baseline"]["groups"][group]["macro_f1"], abs=5e-4)
