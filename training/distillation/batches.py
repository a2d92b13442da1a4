"""Batches without padding: the tokens of all windows one after the other, on the device. Knows no network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from policytag.errors import InputError
from training.distillation.texts import Texts, Windows

MASK_SHARE, RANDOM_SHARE = 0.8, 0.1
"""Of the tokens to be guessed, those that become [MASK] or another token (Devlin et al. 2019, arXiv:1810.04805)."""


@dataclass(frozen=True, slots=True)
class Specials:
    """Ids of the tokens that are no text; all are below ``first_text``."""

    pad: int
    cls: int
    sep: int
    mask: int
    first_text: int
    vocabulary: int


@dataclass(frozen=True, slots=True)
class Batch:
    """``w`` windows of ``n`` texts in ``t`` tokens; what is left of the ``t`` are windows of [PAD] that no text owns.

    Attributes:
        tokens: Shape ``(t,) int64``.
        positions: Of each token in its window, shape ``(t,) int64``.
        bounds: Where windows start, and the end, shape ``(w + 1,) int32``.
        longest: Tokens of the longest window.
        window: Of each token, shape ``(t,) int64``.
        owner: The text of each window, shape ``(w,) int64``; ``n`` for none.
        num_texts: ``n``.
    """

    tokens: Tensor
    positions: Tensor
    bounds: Tensor
    longest: int
    window: Tensor
    owner: Tensor
    num_texts: int

    def largest(self, values: Tensor) -> Tensor:
        """The largest value of each text's windows. Shape: ``(w, L)`` -> ``(n, L)``."""
        rows = self.owner[:, None].expand_as(values)
        lowest = values.new_full((self.num_texts + 1, values.shape[1]), -torch.inf)
        return lowest.scatter_reduce(0, rows, values, "amax")[: self.num_texts]


def lots(
    chosen: NDArray[np.int64], windows: Windows, tokens: int, rng: np.random.Generator | None = None
) -> Iterator[NDArray[np.int64]]:
    """Texts that fill batches of ``tokens`` tokens, in their order or, with ``rng``, in a random one.

    Raises:
        ValueError: If a text has more tokens.
    """
    order = chosen if rng is None else chosen[rng.permutation(len(chosen))]
    ends = np.concatenate([[0], np.cumsum(windows.tokens[order])])
    start = 0
    while start < len(order):
        stop = int(np.searchsorted(ends, ends[start] + tokens, "right")) - 1
        if stop == start:
            length = windows.tokens[order[start]]
            raise ValueError(f"a text of {length} tokens in batches of {tokens}; expected larger batches")
        yield order[start:stop]
        start = stop


class Loader:
    """Puts batches together on the device, where the ids of all texts are kept."""

    def __init__(self, texts: Texts, specials: Specials, device: torch.device) -> None:
        self._ids = torch.from_numpy(texts.ids).to(device)
        self.specials, self.device = specials, device

    def load(
        self,
        chosen: NDArray[np.int64],
        windows: Windows,
        tokens: int,
        partners: NDArray[np.int64] | None = None,
    ) -> Batch:
        """The batch of some texts.

        Args:
            chosen: ``n`` texts.
            windows: Of all texts.
            tokens: ``t``.
            partners: For each text another that is put behind it in the same window, or -1 for none. Both must have one
                window. Shape ``(n,) int64``.
        """
        number = windows.number[chosen]
        owner = np.repeat(np.arange(len(chosen)), number)
        window = np.repeat(windows.first[chosen] - (np.cumsum(number) - number), number) + np.arange(number.sum())
        start, length = windows.start[window], windows.length[window]
        then, more = np.zeros_like(start), np.zeros_like(start)
        if partners is not None:
            partner = partners[owner]
            joined = partner >= 0
            first = windows.first[partner[joined]]
            then[joined], more[joined] = windows.start[first], windows.length[first]
        total = length + more + 2
        longest = int(total.max())
        left = tokens - int(total.sum())
        fill = np.array([longest] * (left // longest) + [left % longest] * (left % longest > 0), dtype=np.int64)
        none = np.zeros_like(fill)
        on_device = (
            torch.from_numpy(np.concatenate(pair)).to(self.device, non_blocking=True)
            for pair in (
                (start, none), (length, none), (then, none), (total, fill), (owner, np.full_like(fill, len(chosen))),
            )
        )  # fmt: skip
        return self._assemble(*on_device, tokens=tokens, longest=longest, num_texts=len(chosen))

    def _assemble(
        self, start: Tensor, length: Tensor, then: Tensor, total: Tensor, owner: Tensor,
        *, tokens: int, longest: int, num_texts: int,
    ) -> Batch:  # fmt: skip
        special, device = self.specials, self.device
        bounds = torch.nn.functional.pad(total.cumsum(0), (1, 0))
        window = torch.repeat_interleave(torch.arange(len(total), device=device), total, output_size=tokens)
        positions = torch.arange(tokens, device=device) - bounds[window]
        place = positions - 1
        place = torch.where(place < length[window], start[window] + place, then[window] + place - length[window])
        found = self._ids[place.clamp(0, len(self._ids) - 1)].long()
        found = torch.where(positions == 0, special.cls, found)
        found = torch.where(positions == total[window] - 1, special.sep, found)
        found = torch.where(owner[window] == num_texts, special.pad, found)
        return Batch(found, positions, bounds.int(), longest, window, owner, num_texts)


class Stream:
    """Plain text for masked-language modelling: paragraphs one after the other, in rows of one length.

    Args:
        texts: The paragraphs, in the order of their documents.
        count: Only the first so many of them are read.
        row: Tokens a row, [CLS] included.
    """

    def __init__(self, texts: Texts, count: int, special: Specials, row: int, device: torch.device) -> None:
        length = texts.length[:count]
        text = np.repeat(np.arange(count), length)
        stream = np.full(int(length.sum()) + count, special.sep, dtype=np.int32)
        stream[np.arange(len(text)) + text] = texts.ids[: len(text)]
        self._stream = torch.from_numpy(stream).to(device)
        self._special, self._row, self._device = special, row, device
        if len(stream) <= 2 * row:
            raise InputError(f"{len(stream)} tokens of text; expected more than two rows of {row}")

    def __len__(self) -> int:
        return len(self._stream)

    def batches(self, tokens: int, share: float, rng: np.random.Generator) -> Iterator[tuple[Batch, Tensor, Tensor]]:
        """Endlessly: a batch, where its masked tokens are, and what they were, shape ``(m,) int64`` both.

        Each pass cuts the text into rows at other places. A text of less than ``tokens`` gives smaller batches.
        """
        inner = self._row - 1
        rows = min(tokens // self._row, len(self) // inner - 1)
        size, device = rows * self._row, self._device
        ramp = torch.arange(inner, device=device)
        bounds = torch.arange(0, size + 1, self._row, device=device, dtype=torch.int32)
        positions = torch.arange(self._row, device=device).repeat(rows)
        owner = torch.arange(rows, device=device)
        window = torch.repeat_interleave(owner, self._row)
        masked = max(1, int(size * share))
        while True:
            offset = int(rng.integers(0, inner))
            starts = rng.permutation((len(self) - offset) // inner) * inner + offset
            for begin in range(0, len(starts) - rows + 1, rows):
                at = torch.from_numpy(starts[begin : begin + rows]).to(device)
                text = self._stream[at[:, None] + ramp].long()
                text = torch.cat([text.new_full((rows, 1), self._special.cls), text], dim=1).flatten()
                order = torch.rand(size, device=device).masked_fill(text < self._special.first_text, 2.0)
                places = order.topk(masked, largest=False, sorted=False).indices
                was = text[places]
                seen = text.index_copy(0, places, self._disguised(was))
                yield Batch(seen, positions, bounds, self._row, window, owner, rows), places, was

    def _disguised(self, tokens: Tensor) -> Tensor:
        special, chance = self._special, torch.rand(tokens.shape, device=tokens.device)
        other = torch.randint(special.first_text, special.vocabulary, tokens.shape, device=tokens.device)
        masked = torch.where(chance < MASK_SHARE, special.mask, tokens)
        return torch.where((chance >= MASK_SHARE) & (chance < MASK_SHARE + RANDOM_SHARE), other, masked)
