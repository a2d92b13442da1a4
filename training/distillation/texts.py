"""Token ids of many texts in one array, and where their windows lie in it. Knows neither batches nor networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policytag.encoding import Encoder

LOT = 20_000
"""Texts tokenised at a time."""


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of ``n`` texts in an array of token ids; [CLS] and [SEP] come to each window later.

    Attributes:
        start: Where each window starts, shape ``(w,) int64``.
        length: Its tokens, shape ``(w,) int64``.
        first: Each text's first window, shape ``(n,) int64``.
        number: Its windows, shape ``(n,) int64``; at least 1.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int64]
    first: NDArray[np.int64]
    number: NDArray[np.int64]

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Tokens of each text, [CLS] and [SEP] of its windows included. Shape: ``(n,) int64``."""
        return np.add.reduceat(self.length + 2, self.first)


@dataclass(frozen=True, slots=True)
class Texts:
    """``n`` texts as token ids.

    Attributes:
        ids: All of them one after the other, shape ``(t,) int32``.
        pieces: The windows that serving reads.
    """

    ids: NDArray[np.int32]
    pieces: Windows

    @classmethod
    def encode(cls, encoder: Encoder, texts: Sequence[str]) -> Texts:
        """Tokenises texts.

        The windows of a recipe overlap only where a sentence is longer than ``max_tokens``; its tokens then stand here
        twice.
        """
        ids: list[NDArray[np.int32]] = []
        number: list[int] = []
        for lot in range(0, len(texts), LOT):
            for encoded in encoder.encode(texts[lot : lot + LOT]):
                number.append(len(encoded.windows))
                ids += [np.array(window[1:-1], dtype=np.int32) for window in encoded.windows]
        lengths = np.array([len(window) for window in ids], dtype=np.int64)
        counts = np.array(number, dtype=np.int64)
        windows = Windows(np.cumsum(lengths) - lengths, lengths, np.cumsum(counts) - counts, counts)
        return cls(np.concatenate(ids) if ids else np.zeros(0, np.int32), windows)

    def __len__(self) -> int:
        return len(self.pieces.number)

    @property
    def start(self) -> NDArray[np.int64]:
        """Where each text starts. Shape: ``(n,) int64``."""
        return self.pieces.start[self.pieces.first]

    @property
    def length(self) -> NDArray[np.int64]:
        """Tokens of each text, without [CLS] and [SEP]. Shape: ``(n,) int64``."""
        return np.add.reduceat(self.pieces.length, self.pieces.first)

    def evenly(self, limit: int) -> Windows:
        """Windows of at most ``limit`` tokens, as few and as even as possible, wherever sentences end.

        A text of 5 tokens with a limit of 4 has windows of 2 and 3.
        """
        length = self.length
        number = np.maximum(1, -(-length // limit))
        first = np.cumsum(number) - number
        text = np.repeat(np.arange(len(self)), number)
        place = np.arange(len(text)) - first[text]
        begin, end = (length[text] * k // number[text] for k in (place, place + 1))
        return Windows(self.start[text] + begin, end - begin, first, number)
