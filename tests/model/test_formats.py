"""The shipped model gives a document the same tags in whatever format it comes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policytag.artifact import DEFAULT_MODEL
from policytag.readers import parse_file
from policytag.tagger import Tagger
from policytag.text import Paragraph

CORPUS = sorted(Path("labels/corpus").glob("*.txt"))
FIXTURES = Path("tests/fixtures/formats")
MIN_EQUAL = 0.97


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger.load(Path(DEFAULT_MODEL))


def tags(tagger: Tagger, path: Path) -> dict[str, list[tuple[str, ...]]]:
    """Text without blanks -> the tags of each paragraph with this text; furniture has none."""
    paragraphs = [p for p in parse_file(path).document.paragraphs if p.kind != "furniture"]
    found: dict[str, list[tuple[str, ...]]] = {}
    for prediction in tagger.tag(paragraphs):
        labels = tuple(sorted(score.label_id for score in prediction.scores if score.assigned))
        found.setdefault(plain(prediction.paragraph), []).append(labels)
    return found


def plain(paragraph: Paragraph) -> str:
    return re.sub(r"\s", "", paragraph.text)


@pytest.mark.slow
@pytest.mark.parametrize("fmt", ["docx", "pdf", "html", "md", "xlsx", "csv", "parquet"])
def test_a_document_has_the_same_tags_in_every_format(tagger: Tagger, fmt: str) -> None:
    total = equal = 0
    for path in CORPUS:
        got = tags(tagger, FIXTURES / f"{path.name[:3]}.{fmt}")
        for text, labels in tags(tagger, path).items():
            total += len(labels)
            equal += len(labels) if got.get(text) == labels else 0
    print(f"{fmt}: {equal} of {total} paragraphs with equal tags")
    assert equal / total >= MIN_EQUAL
