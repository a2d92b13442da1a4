"""Passages: documents to ranges of the token cache, and the draw of adjacent pairs of them.

A passage is paragraphs joined until there is enough to learn from, or a part of one that is too long. Knows where
tokens stand, not what they are.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from training.pretraining.config import PretrainConfig
from training.pretraining.errors import PretrainError
from training.pretraining.tokens import TokenCache

logger = logging.getLogger(__name__)

PASSAGE_RECIPE = 2  # raise it when the passages change for the same cache and settings
MIN_LAST_TOKENS = 16  # the rest at a document's end is a passage if it has this many tokens


@dataclass(frozen=True)
class Passages:
    """Passages as ranges of token positions, grouped by document.

    Attributes:
        starts, stops: Shape: (passages,) int64; token positions in the cache.
        train, validation: Shape: (documents, 2) int64; each document's first passage and the one after its last.
        validation_documents: the cache's numbers of the held-out documents.
        data_hash: stands for the tokens and for the recipe of the passages, in hex.
    """

    starts: np.ndarray
    stops: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    validation_documents: np.ndarray
    data_hash: str


def pack(lengths: Sequence[int], minimum: int, maximum: int) -> list[tuple[int, int]]:
    """Packs one document's paragraphs into passages of token positions (start, stop).

    Whole paragraphs are joined until they have `minimum` tokens; above `maximum` they are split, a short heading with
    the paragraph it is joined to; what is left at the end is a passage if it has at least 16 tokens. With 48 and 126:
    lengths 30, 20, 200, 10 give (0, 50), (50, 150), (150, 250), and the last ten tokens are dropped.
    """
    passages, start, stop = [], 0, 0
    for length in lengths:
        stop += length
        if stop - start >= minimum:
            passages += _split(start, stop, maximum)
            start = stop
    if stop - start >= min(MIN_LAST_TOKENS, minimum):
        passages.append((start, stop))
    return passages


def _split(start: int, stop: int, maximum: int) -> list[tuple[int, int]]:
    """As few parts of at most `maximum` tokens as will do, even to a token: (0, 300) and 126 give three of 100.

    What has to be split leaves parts of at least half of `maximum`, so of half of any smaller minimum as well.
    """
    count = math.ceil((stop - start) / maximum)
    return list(pairwise(start + (stop - start) * part // count for part in range(count + 1)))


def build_passages(cache: TokenCache, config: PretrainConfig) -> Passages:
    """Packs every document, and holds every n-th one out for validation; documents of one passage give no pair."""
    bounds = np.flatnonzero(np.diff(cache.documents, prepend=-1, append=-1))
    offsets = np.concatenate([[0], np.cumsum(cache.lengths, dtype=np.int64)])
    ranges: list[tuple[int, int]] = []
    documents, numbers = [], []
    for first, last in pairwise(bounds):
        base = int(offsets[first])
        packed = pack(cache.lengths[first:last].tolist(), config.min_tokens, config.max_tokens)
        if len(packed) >= 2:
            documents.append((len(ranges), len(ranges) + len(packed)))
            numbers.append(cache.documents[first])
            ranges += [(base + start, base + stop) for start, stop in packed]
    if len(documents) < 2:
        raise PretrainError(
            f"text too small: {len(documents)} of {cache.facts.documents} documents have two passages of "
            f"{config.min_tokens} tokens, expected at least 2 such documents; give more text or lower min_tokens"
        )
    every = max(2, round(1 / config.validation_share))
    held_out = np.arange(len(documents)) % every == 0
    spans, where = np.array(documents, dtype=np.int64), np.array(ranges, dtype=np.int64)
    logger.info(
        "passages: %d with %d tokens in %d documents, %d of these held out",
        len(ranges), (where[:, 1] - where[:, 0]).sum(), len(documents), held_out.sum(),
    )  # fmt: skip
    data_hash = hashlib.sha256(f"{cache.facts.data_hash}\npassages {PASSAGE_RECIPE}".encode()).hexdigest()
    return Passages(where[:, 0], where[:, 1], spans[~held_out], spans[held_out], np.array(numbers)[held_out], data_hash)


def draw_pairs(rng: np.random.Generator, documents: np.ndarray, config: PretrainConfig) -> np.ndarray:
    """Draws disjoint pairs of adjacent passages, several from each document, documents by their (capped) length.

    Returns:
        Shape: (pairs, 2) int64, passage numbers; `batch_pairs` of them unless the documents have fewer.
    """
    weights = np.minimum(documents[:, 1] - documents[:, 0], config.document_weight_cap)
    keys = rng.exponential(size=len(documents)) / weights  # the smallest keys: a weighted draw without replacement
    count = min(config.batch_pairs, len(documents))
    nearest = np.argpartition(keys, count - 1)[:count]
    pairs: list[tuple[int, int]] = []
    for first, last in documents[nearest[np.argsort(keys[nearest])]].tolist():
        room = min(config.pairs_per_document, config.batch_pairs - len(pairs))
        shift = int(rng.integers(2)) if (last - first) % 2 else 0
        chosen = rng.permutation((last - first) // 2)[:room].tolist()
        pairs += [(first + shift + 2 * i, first + shift + 2 * i + 1) for i in chosen]
        if len(pairs) >= config.batch_pairs:
            break
    return np.array(pairs, dtype=np.int64)
