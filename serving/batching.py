"""Windows of many requests put together into batches. Knows neither queues nor threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from policytag.engine import MAX_BATCH_TOKENS
from policytag.tagger import Tagger

LOOKAHEAD_TOKENS = 8 * MAX_BATCH_TOKENS
"""Tokens that are encoded ahead of the network: enough to batch windows of like length, little enough to be quick."""


@dataclass(slots=True, eq=False)
class Scoring:
    """The texts of one request on their way through one model.

    Attributes:
        texts: ``n`` texts.
        logits: The maximum over the windows that were run, shape ``(n, L) float32``; -inf before.
        truncated: Shape ``(n,) bool``; known for the texts that were encoded.
        encoded: How many texts were, from the first.
        windows: Windows of those that wait.
    """

    texts: Sequence[str]
    tagger: Tagger
    logits: NDArray[np.float32]
    truncated: NDArray[np.bool_]
    encoded: int = 0
    windows: list[Window] = field(default_factory=list)

    @classmethod
    def of(cls, texts: Sequence[str], tagger: Tagger) -> Scoring:
        """Nothing done yet."""
        logits = np.full((len(texts), tagger.engine.num_labels), -np.inf, dtype=np.float32)
        return cls(texts, tagger, logits, np.zeros(len(texts), dtype=np.bool_))

    @property
    def tokens(self) -> int:
        """How many tokens the texts have, estimated from above by characters."""
        limit = self.tagger.encoder.recipe.max_chars
        return sum(min(len(text), limit) + 2 for text in self.texts)

    @property
    def all_taken(self) -> bool:
        """Whether no window waits and none is to come."""
        return self.encoded == len(self.texts) and not self.windows


@dataclass(slots=True, eq=False)
class Window:
    """A token window of one text of a request."""

    scoring: Scoring
    text: int
    ids: list[int]


def encode_ahead(scorings: Sequence[Scoring]) -> None:
    """Encodes texts in the order given until `LOOKAHEAD_TOKENS` wait; at least one window of the first."""
    ahead = sum(len(window.ids) for scoring in scorings for window in scoring.windows)
    for scoring in scorings:
        first = scoring is scorings[0]
        while scoring.encoded < len(scoring.texts) and (ahead < LOOKAHEAD_TOKENS or (first and not scoring.windows)):
            ahead += _encode(scoring, LOOKAHEAD_TOKENS - ahead)


def _encode(scoring: Scoring, tokens: int) -> int:
    """Encodes the next texts, about ``tokens`` tokens of them; returns how many there were."""
    start = stop = scoring.encoded
    encoder, chars = scoring.tagger.encoder, 0
    while stop < len(scoring.texts) and (stop == start or chars < tokens):
        chars += min(len(scoring.texts[stop]), encoder.recipe.max_chars)
        stop += 1
    windows, owners, truncated = encoder.windows(scoring.texts[start:stop])
    scoring.truncated[start:stop] = truncated
    scoring.windows += [Window(scoring, start + int(text), ids) for ids, text in zip(windows, owners, strict=True)]
    scoring.encoded = stop
    return sum(map(len, windows))


def take_batch(lead: Scoring, windows: Sequence[Window]) -> list[Window]:
    """Takes the lead's longest window and those of like length, so that rows x longest row <= `MAX_BATCH_TOKENS`.

    Args:
        windows: All that wait, the lead's and others'.
    """
    size = max(len(window.ids) for window in lead.windows)
    batch: list[Window] = []
    longest = size
    for window in sorted(windows, key=lambda window: (abs(len(window.ids) - size), window.scoring is not lead)):
        longest = max(longest, len(window.ids))
        if batch and (len(batch) + 1) * longest > MAX_BATCH_TOKENS:
            break
        batch.append(window)
    taken = set(map(id, batch))
    for scoring in {id(window.scoring): window.scoring for window in batch}.values():
        scoring.windows = [window for window in scoring.windows if id(window) not in taken]
    return batch


def run_batch(batch: Sequence[Window]) -> None:
    """Runs a batch and adds what it gives to the logits of its texts."""
    rows = batch[0].scoring.tagger.engine.logits([window.ids for window in batch])
    for window, row in zip(batch, rows, strict=True):
        into = window.scoring.logits[window.text]
        np.maximum(into, row, out=into)
