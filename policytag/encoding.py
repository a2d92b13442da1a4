"""Text to token windows, the one recipe of training and serving. Knows nothing of labels or files of documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from policytag.errors import ArtifactError
from policytag.text import normalise, normalise_with_offsets

SENTENCE_ENDS = "。;!?"
"""Tokens that end a sentence, in their normalised form."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a text becomes windows; stored in the artifact, so that serving repeats what training did.

    Attributes:
        max_tokens: Tokens a window, [CLS] and [SEP] included.
        overlap: Tokens that two neighbouring windows share.
        max_chars: Normalised characters read of one text; what is beyond is cut *before* tokenising (a 10 MB
            paragraph costs 16 s otherwise) and the answer says ``truncated``.
        piece_tokens: A text with more tokens is read in pieces: whole sentences are put together to windows of at most
            so many, [CLS] and [SEP] included; a longer sentence is a window of its own, or several of ``max_tokens``.
            0 does without pieces.

    Raises:
        ArtifactError: If windows would not get on, or nothing would be read.
    """

    max_tokens: int = 512
    overlap: int = 64
    max_chars: int = 16_384
    piece_tokens: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.max_tokens - 2:
            raise ArtifactError(
                f"recipe: overlap {self.overlap} with max_tokens {self.max_tokens}; "
                "expected 0 <= overlap < max_tokens - 2"
            )
        if self.max_chars < 1:
            raise ArtifactError(f"recipe: max_chars {self.max_chars}; expected at least 1")
        if self.piece_tokens and not 2 < self.piece_tokens <= self.max_tokens:
            raise ArtifactError(
                f"recipe: piece_tokens {self.piece_tokens} with max_tokens {self.max_tokens}; "
                "expected 0, or 3 to max_tokens"
            )


@dataclass(frozen=True, slots=True)
class Encoded:
    """The windows of one text.

    Attributes:
        windows: Token ids, each window with [CLS] and [SEP]; at least one.
        truncated: Whether the text was longer than the recipe reads.
    """

    windows: tuple[list[int], ...]
    truncated: bool


class Encoder:
    """A tokenizer and a recipe. Safe to share between threads.

    Args:
        tokenizer_file: ``tokenizer.json``; must know [CLS], [SEP], [PAD] and [UNK].

    Raises:
        ArtifactError: If the file cannot be read as a tokenizer or lacks one of these tokens.
    """

    def __init__(self, tokenizer_file: Path, recipe: Recipe) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        except Exception as error:  # tokenizers raises bare Exception
            raise ArtifactError(f"{tokenizer_file}: not readable as a tokenizer ({error})") from None
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.recipe = recipe
        self.cls_id, self.sep_id, self.pad_id, self.unk_id = (
            self._special(token, tokenizer_file) for token in ("[CLS]", "[SEP]", "[PAD]", "[UNK]")
        )
        self._ends = {self._tokenizer.token_to_id(mark) for mark in SENTENCE_ENDS}

    def _special(self, token: str, where: Path) -> int:
        token_id = self._tokenizer.token_to_id(token)
        if token_id is None:
            raise ArtifactError(f"{where}: no token {token}; expected a BERT tokenizer with [CLS] [SEP] [PAD] [UNK]")
        return token_id

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Normalises, cuts, tokenises and windows texts.

        Returns:
            One `Encoded` a text, in order; a blank text gives the window ``[CLS] [SEP]``.
        """
        cuts = [self._cut(text) for text in texts]
        encodings = self._tokenizer.encode_batch_fast([text for text, _ in cuts], add_special_tokens=False)
        return [Encoded(self._slice(e.ids), cut) for e, (_, cut) in zip(encodings, cuts, strict=True)]

    def windows(self, texts: Sequence[str]) -> tuple[list[list[int]], NDArray[np.int64], NDArray[np.bool_]]:
        """The windows of texts one after the other, as a network takes them and `pool` puts their logits together.

        Args:
            texts: ``n`` texts.

        Returns:
            ``w`` windows; the text each belongs to, shape ``(w,) int64``; which texts were truncated, shape
            ``(n,) bool``.
        """
        encoded = self.encode(texts)
        owners = [owner for owner, text in enumerate(encoded) for _ in text.windows]
        return (
            [window for text in encoded for window in text.windows],
            np.array(owners, dtype=np.int64),
            np.array([text.truncated for text in encoded], dtype=np.bool_),
        )

    def _cut(self, text: str) -> tuple[str, bool]:
        # Blanks inside Chinese text go in normalise, so up to four times the limit is looked at before it is applied.
        plain = normalise(text[: 4 * self.recipe.max_chars])
        limit = self.recipe.max_chars
        return plain[:limit], len(plain) > limit or len(text) > 4 * limit

    def spans(self, text: str) -> list[list[tuple[int, int]]]:
        """Where the tokens of each window of `encode` stand in a text, [CLS] and [SEP] left out.

        Returns:
            For each window, start and end of each token as indices in ``text`` as it was given.
        """
        plain, origin = normalise_with_offsets(text[: 4 * self.recipe.max_chars])
        encoding = self._tokenizer.encode(plain[: self.recipe.max_chars], add_special_tokens=False)
        tokens = [(origin[start], origin[end - 1] + 1) for start, end in encoding.offsets]
        return [tokens[part] for part in self._parts(encoding.ids)]

    def _slice(self, ids: list[int]) -> tuple[list[int], ...]:
        return tuple([self.cls_id, *ids[part], self.sep_id] for part in self._parts(ids))

    def _parts(self, ids: Sequence[int]) -> list[slice]:
        size = self.recipe.max_tokens - 2
        step = size - self.recipe.overlap
        return [
            slice(start, min(start + size, end))
            for begin, end in self._pieces(ids)
            for start in range(begin, max(end - self.recipe.overlap, begin + 1), step)
        ]

    def _pieces(self, ids: Sequence[int]) -> list[tuple[int, int]]:
        """Start and end of each piece; together they are the text."""
        limit = self.recipe.piece_tokens - 2
        if limit < 0 or len(ids) <= limit:
            return [(0, len(ids))]
        pieces, start, last = [], 0, 0
        ends = [place for place, token in enumerate(ids, 1) if token in self._ends or place == len(ids)]
        for end in ends:
            if end - start > limit and last > start:
                pieces.append((start, last))
                start = last
            last = end
        return [*pieces, (start, last)]


def pad(windows: Sequence[Sequence[int]], pad_id: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids and attention mask of a batch.

    Shape: ``(b, t) int64`` each, ``t`` the longest window's length.
    """
    lengths = np.fromiter(map(len, windows), dtype=np.int64, count=len(windows))
    mask = np.arange(lengths.max(initial=0))[None, :] < lengths[:, None]
    ids = np.full(mask.shape, pad_id, dtype=np.int64)
    ids[mask] = np.fromiter((i for window in windows for i in window), dtype=np.int64, count=int(lengths.sum()))
    return ids, mask.astype(np.int64)


def pool(logits: NDArray[np.float32], owners: NDArray[np.int64], num_texts: int) -> NDArray[np.float32]:
    """One row a text from one row a window: the maximum of each label's logit over the text's windows.

    A paragraph uses an instrument if any part of it does.

    Args:
        logits: Shape ``(w, L) float32``.
        owners: Shape ``(w,) int64``: the text each window belongs to; every text owns at least one.
        num_texts: ``n``.

    Returns:
        Shape ``(n, L) float32``.
    """
    pooled = np.full((num_texts, logits.shape[1]), -np.inf, dtype=np.float32)
    np.maximum.at(pooled, owners, logits)
    return pooled
