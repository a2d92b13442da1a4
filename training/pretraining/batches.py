"""Batches: pairs of passages to padded and masked arrays, a function of the random numbers given.

Knows neither torch nor the network: a batch is a few numpy arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from training.pretraining.config import PretrainConfig
from training.pretraining.errors import PretrainError
from training.pretraining.passages import Passages


@dataclass(frozen=True)
class Specials:
    """The ids of a tokenizer's special tokens, and of all others."""

    pad: int
    cls: int
    sep: int
    mask: int
    ordinary: np.ndarray

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Specials:
        names = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
        ids = {name: tokenizer.token_to_id(name) for name in names}
        known = {name: number for name, number in ids.items() if number is not None}
        if missing := sorted(ids.keys() - known.keys()):
            raise PretrainError(f"the tokenizer has no {', '.join(missing)}; expected {', '.join(names)}")
        ordinary = np.setdiff1d(np.arange(tokenizer.get_vocab_size()), list(known.values()))
        return cls(known["[PAD]"], known["[CLS]"], known["[SEP]"], known["[MASK]"], ordinary)


@dataclass(frozen=True)
class MicroBatch:
    """A padded part of a batch.

    Attributes:
        rows: Shape: (n,) int64; each sequence's number in the batch; sequences 2i and 2i+1 are the pair i.
        ids, attention: Shape: (n, t) int64.
        masked: Shape: (m,) int64; positions in the flattened ids to be predicted.
        labels: Shape: (m,) int64; the tokens that stood there.
    """

    rows: np.ndarray
    ids: np.ndarray
    attention: np.ndarray
    masked: np.ndarray
    labels: np.ndarray


def build_batch(
    rng: np.random.Generator, pairs: np.ndarray, ids: np.ndarray, passages: Passages, specials: Specials,
    config: PretrainConfig,
) -> list[MicroBatch]:  # fmt: skip
    """Reads the pairs' tokens, sorts them by length into padded micro-batches and masks them.

    Of the tokens chosen for prediction 80 % become [MASK], 10 % a random token, 10 % stay.
    """
    numbers = pairs.ravel()
    lengths = passages.stops[numbers] - passages.starts[numbers] + 2
    order = np.argsort(lengths, kind="stable")
    parts = []
    for rows in np.array_split(order, min(config.micro_batches, len(order))):
        tokens = np.full((len(rows), int(lengths[rows].max())), specials.pad, dtype=np.int64)
        for line, row in zip(tokens, rows, strict=True):
            start, stop = passages.starts[numbers[row]], passages.stops[numbers[row]]
            line[0], line[1 : stop - start + 1], line[stop - start + 1] = specials.cls, ids[start:stop], specials.sep
        attention = (np.arange(tokens.shape[1]) < lengths[rows][:, None]).astype(np.int64)
        masked, labels = np.zeros(0, np.int64), np.zeros(0, np.int64)
        if config.mlm_weight:
            masked, labels = _mask(rng, tokens, lengths[rows], specials, config.mask_rate)
        parts.append(MicroBatch(rows, tokens, attention, masked, labels))
    return parts


def _mask(
    rng: np.random.Generator, tokens: np.ndarray, lengths: np.ndarray, specials: Specials, rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """Masks `tokens` in place; returns the flat positions to predict and the tokens that stood there."""
    column = np.arange(tokens.shape[1])
    inner = (column > 0) & (column < lengths[:, None] - 1)
    masked = np.flatnonzero(inner & (rng.random(tokens.shape) < rate))
    flat = tokens.reshape(-1)
    labels = flat[masked]
    fate = rng.random(len(masked))
    random_tokens = specials.ordinary[rng.integers(len(specials.ordinary), size=len(masked))]
    flat[masked] = np.where(fate < 0.8, specials.mask, np.where(fate < 0.9, random_tokens, labels))
    return masked, labels
