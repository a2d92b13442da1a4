"""The committed labels are what the data card says they are."""

import json
import re
from pathlib import Path

import pytest

from policytag.taxonomy import Taxonomy

LABELS = Path("labels")
TAXONOMY = Taxonomy.from_yaml(LABELS / "taxonomy.yaml")


def rows(name: str) -> list[dict]:
    lines = (LABELS / "annotations" / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


APART = ["apart/corpus.jsonl", "apart/train.jsonl", "apart/unseen.jsonl"]
FILES = ["seed_corpus.jsonl", "authored.jsonl", *APART]


@pytest.mark.parametrize("name", FILES)
def test_the_data_card_counts_paragraphs_and_documents_rightly(name: str) -> None:
    card = (LABELS / "DATACARD.md").read_text(encoding="utf-8")
    match = re.search(rf"`annotations/{name}` \| ([\d,]+) \| ([\d,]+)", card)
    assert match
    found = rows(name)
    assert int(match[1].replace(",", "")) == len(found)
    assert int(match[2].replace(",", "")) == len({row["doc"] for row in found})


@pytest.mark.parametrize("name", FILES)
def test_every_committed_label_is_in_the_taxonomy_and_its_facet(name: str) -> None:
    for row in rows(name):
        assert {TAXONOMY[label].facet for label in row["instruments"]} <= {"instrument"}
        assert {TAXONOMY[label].facet for label in row["industries"]} <= {"industry"}


def test_every_line_of_the_corpus_is_annotated_exactly_once() -> None:
    annotated = {(row["doc"], int(row["source"].rpartition("/")[2])) for row in rows("seed_corpus.jsonl")}
    lines = {
        (path.name, number)
        for path in (LABELS / "corpus").glob("*.txt")
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"))
        if line.strip()
    }
    assert annotated == lines


def test_every_label_has_examples_in_the_authored_set() -> None:
    used = {label for row in rows("authored.jsonl") for label in (*row["instruments"], *row["industries"])}
    assert used == set(TAXONOMY.ids)


def test_labels_kept_apart_carry_a_digest_and_no_text() -> None:
    for name in APART:
        for row in rows(name):
            assert re.fullmatch(r"[0-9a-f]{64}", row["text_sha256"])
            assert "text" not in row
