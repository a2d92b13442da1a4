"""Windows of many requests put together into batches. Knows neither queues nor threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from policytag.engine import MAX_BATCH_TOKENS, MIN_BATCH_TOKENS
from policytag.tagger import Tagger

LOOKAHEAD_TOKENS = 32 * MAX_BATCH_TOKENS
"""Tokens that are encoded ahead of the network: enough to find windows of one length, little enough to be quick."""


@dataclass(slots=True, eq=False)
class Scoring:
    """The texts of one request on their way through one model.

    Attributes:
        texts: ``n`` texts.
        logits: The maximum over the windows that were run, shape ``(n, L) float32``; -inf before.
        truncated: Shape ``(n,) bool``; known for the texts that were encoded.
        encoded: How many texts were, from the first.
        windows: Windows of those that wait.
        running: How many windows were taken and have not come back.
    """

    texts: Sequence[str]
    tagger: Tagger
    logits: NDArray[np.float32]
    truncated: NDArray[np.bool_]
    encoded: int = 0
    windows: list[Window] = field(default_factory=list)
    running: int = 0

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

    @property
    def finished(self) -> bool:
        """Whether the logits are those of all windows."""
        return self.all_taken and not self.running


@dataclass(slots=True, eq=False)
class Window:
    """A token window of one text of a request."""

    scoring: Scoring
    text: int
    ids: list[int]


def encode_ahead(scorings: Sequence[Scoring]) -> None:
    """Encodes texts in the order given until `LOOKAHEAD_TOKENS` wait; at least one window of the first.

    Not before half of them are used up: the tokenizer is quicker with many texts at once.
    """
    ahead = sum(len(window.ids) for scoring in scorings for window in scoring.windows)
    wanted = LOOKAHEAD_TOKENS if ahead < LOOKAHEAD_TOKENS // 2 else 0
    for scoring in scorings:
        first = scoring is scorings[0]
        while scoring.encoded < len(scoring.texts) and (ahead < wanted or (first and not scoring.windows)):
            ahead += _encode(scoring, wanted - ahead)


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


def take_batch(scorings: Sequence[Scoring], threads: int) -> list[Window]:
    """Takes the first scoring's longest window and others of the same length, up to `MAX_BATCH_TOKENS`.

    Args:
        scorings: Of one model; the first has a window that waits.
        threads: That take batches: less is taken where the rest would not employ the others.
    """
    size = max(len(window.ids) for window in scorings[0].windows)
    waiting = sum(len(window.ids) for scoring in scorings for window in scoring.windows)
    tokens = min(max(waiting // threads, MIN_BATCH_TOKENS), MAX_BATCH_TOKENS)
    alike = [window for scoring in scorings for window in scoring.windows if len(window.ids) == size]
    batch = alike[: max(tokens // size, 1)]
    taken = set(map(id, batch))
    for scoring in {id(window.scoring): window.scoring for window in batch}.values():
        waited = len(scoring.windows)
        scoring.windows = [window for window in scoring.windows if id(window) not in taken]
        scoring.running += waited - len(scoring.windows)
    return batch


def run_batch(batch: Sequence[Window]) -> NDArray[np.float32]:
    """The logits of a batch, shape ``(len(batch), L) float32``."""
    return batch[0].scoring.tagger.engine.run([window.ids for window in batch])


def give_back(batch: Sequence[Window], logits: NDArray[np.float32]) -> None:
    """Adds what `run_batch` gave to the logits of the batch's texts."""
    for window, row in zip(batch, logits, strict=True):
        into = window.scoring.logits[window.text]
        np.maximum(into, row, out=into)
        window.scoring.running -= 1
