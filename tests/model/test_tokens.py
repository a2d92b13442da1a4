"""Training and serving cut a text into the same tokens, and the tokens lie where they say.

`POLICYTAG_TEXTS=FILE.jsonl` adds a file of annotated rows: how much of it is unknown is printed (`pytest -s`).
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from policytag.encoding import Encoder, Recipe
from policytag.text import normalise

ENCODER = Path("models/encoder")
ROWS = Path("labels/annotations/authored.jsonl")
MAX_UNKNOWN_SHARE = 0.0005
PARAGRAPHS = 100_000
ALPHABET = "企业补贴ＡＩａｂ１２ 　\n，。（）《》“”%‰①㈱𠮷😀é\u200b\u0000繁體資助٣"


def texts_of(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


def mixed(number: int) -> list[str]:
    """Clauses of authored paragraphs in new orders, with odd characters between."""
    generator = random.Random(7)
    clauses = [clause for text in texts_of(ROWS) for clause in text.split("，") if clause]
    odd = ["".join(generator.choices(ALPHABET, k=generator.randrange(6))) for _ in range(200)]
    return [
        "".join(part for _ in range(generator.randrange(1, 5)) for part in generator.choices((*clauses, *odd), k=2))
        for _ in range(number)
    ]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(ENCODER / "tokenizer.json", Recipe(4096, 64, 16384))


@pytest.mark.slow
def test_training_and_serving_give_the_same_ids(encoder: Encoder) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(ENCODER)
    texts = mixed(PARAGRAPHS)
    for start in range(0, len(texts), 1000):
        lot = texts[start : start + 1000]
        ours = [encoded.windows[0] for encoded in encoder.encode(lot)]
        theirs = tokenizer([normalise(text) for text in lot])["input_ids"]
        assert ours == theirs


def test_tokens_lead_back_to_their_place_in_the_text_as_it_was_given(encoder: Encoder) -> None:
    for text in mixed(2000):
        [ids], [spans] = encoder.encode([text])[0].windows, encoder.spans(text)
        assert len(spans) == len(ids) - 2
        assert all(0 <= start < end <= len(text) for start, end in spans)
        assert [start for start, _ in spans] == sorted(start for start, _ in spans)
        cut = "".join(text[start:end] for start, end in spans)
        assert set(normalise(text)) - set(" \n") <= set(normalise(cut))  # nothing but blanks lies outside of them


def test_hardly_a_token_is_unknown(encoder: Encoder) -> None:
    files = [ROWS, *filter(None, [os.environ.get("POLICYTAG_TEXTS")])]
    for file in map(Path, files):
        tokens = [t for encoded in encoder.encode(texts_of(file)) for window in encoded.windows for t in window]
        share = tokens.count(encoder.unk_id) / len(tokens)
        print(f"{file.name}: {share:.4%} of {len(tokens)} tokens unknown")
        assert share <= MAX_UNKNOWN_SHARE
