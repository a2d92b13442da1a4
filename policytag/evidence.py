"""Which words of a paragraph speak for its tags, found by asking the model again. Knows neither HTTP nor display.

Each word is given to the model alone: what it raises a tag's logit by is its weight. The heaviest words are then
deleted from the paragraph together, a few more each time, until the tag falls below its threshold (occlusion, Zeiler
and Fergus 2014, arXiv:1311.2901): these are its evidence. Ranking words by what the loss of each does costs several
times as much, found no better ones, and is blind where two words say the same.

Evidence says what the model went by, which is not always what a reader would underline. A tag that no single word
speaks for gets none, and one that a text supports many times over may keep standing without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policytag.calibration import decide, probabilities
from policytag.errors import ArtifactError
from policytag.tagger import Prediction, Tagger

MAX_WORDS = 64
"""Words that a window is taken apart into; in a longer window each is several neighbouring tokens."""
COUNTS = (1, 2, 3, 4, 6, 8, 12)
"""How many words are deleted together; the last is the most that the evidence of one tag in one window is made of."""
MAX_WINDOWS = 4
"""Windows of a long paragraph that are looked into for one tag, strongest first."""
MAX_GAP = 1
"""Pieces with at most so many characters between them are one span."""

Piece = tuple[int, int]
"""Start and end in a text."""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of evidence.

    Attributes:
        start: Index of its first character (code point) in the paragraph's text as it was given.
        end: One beyond its last.
        weight: Its share in the tag's evidence; those of one tag sum to 1.
    """

    start: int
    end: int
    weight: float


def explain(tagger: Tagger, prediction: Prediction) -> dict[str, tuple[Span, ...]]:
    """The evidence of a prediction's tags.

    Costs, for each window looked into, two calls of the model: `MAX_WORDS` + 1 single words at most, and one text a tag
    for each of `COUNTS`.

    Args:
        prediction: Of this tagger; its thresholds decide what a tag needs.

    Returns:
        Label id -> spans in the order of the text, not overlapping, for every assigned label. No spans if the model
        gives the tag without any of the words.

    Raises:
        ArtifactError: If the model gives a value that is not finite.

    Example:
        ``"对企业给予租金补贴。"`` -> ``{"subsidy": (Span(5, 9, 1.0),)}``, which is ``"租金补贴"``.
    """
    columns = [column for column, score in enumerate(prediction.scores) if score.assigned]
    thresholds = [score.threshold for score in prediction.scores]
    found: dict[int, dict[Piece, float]] = {column: {} for column in columns}
    if columns:
        for window, wanted in _deciding(tagger, prediction.paragraph.text, columns, thresholds):
            for column, pieces in _occlude(tagger, window, wanted, thresholds).items():
                found[column] |= pieces
    return {prediction.scores[column].label_id: _spans(pieces) for column, pieces in found.items()}


def without(text: str, pieces: Sequence[Piece | Span]) -> str:
    """A text after its pieces are deleted: ``without("给予补贴", [(2, 4)])`` -> ``"给予"``."""
    kept, last = [], 0
    bounds = sorted((p.start, p.end) if isinstance(p, Span) else p for p in pieces)
    for start, end in bounds:
        kept.append(text[last : max(start, last)])
        last = max(end, last)
    return "".join([*kept, text[last:]])


@dataclass(frozen=True, slots=True)
class _Window:
    """The part of a paragraph that one window of the model reads, taken as a text of its own.

    Attributes:
        start: Where it begins in the paragraph.
        words: Its pieces, as places in ``text``.
    """

    start: int
    text: str
    words: list[Piece]


def _deciding(
    tagger: Tagger, text: str, columns: Sequence[int], thresholds: Sequence[float]
) -> Iterator[tuple[_Window, list[int]]]:
    """The windows that give the tags, each with the columns it gives."""
    windows = tagger.encoder.spans(text)
    # One window is the whole paragraph, whatever stands around its first and last token.
    bounds = [(0, len(text))] if len(windows) == 1 else [(tokens[0][0], tokens[-1][1]) for tokens in windows]
    logits = _ask(tagger, [text[start:end] for start, end in bounds])
    over = decide(probabilities(logits, tagger.artifact.calibration.temperature), thresholds)
    wanted: dict[int, list[int]] = {}
    for column in columns:
        strongest = np.argsort(-logits[:, column], kind="stable")[:MAX_WINDOWS]
        for rank, row in enumerate(strongest):
            if rank == 0 or over[row, column]:
                wanted.setdefault(int(row), []).append(column)
    for row, of_row in sorted(wanted.items()):
        start, end = bounds[row]
        words = [(a - start, b - start) for a, b in _words(text, windows[row])]
        if words:
            yield _Window(start, text[start:end], words), of_row


def _words(text: str, tokens: Sequence[Piece]) -> list[Piece]:
    """Tokens, without marks, in at most `MAX_WORDS` groups of neighbours."""
    spoken = [(start, end) for start, end in tokens if any(char.isalnum() for char in text[start:end])] or tokens
    if not spoken:
        return []
    groups = np.array_split(np.arange(len(spoken)), min(len(spoken), MAX_WORDS))
    return [(spoken[int(group[0])][0], spoken[int(group[-1])][1]) for group in groups]


def _occlude(
    tagger: Tagger, window: _Window, columns: Sequence[int], thresholds: Sequence[float]
) -> dict[int, dict[Piece, float]]:
    """Column -> the pieces of its evidence, as places in the paragraph, and what each of them weighs."""
    text, words = window.text, window.words
    alone = _ask(tagger, [*(text[start:end] for start, end in words), ""])
    weight = alone[:-1] - alone[-1]  # (words, L)

    ranked = {column: _heaviest(weight[:, column]) for column in columns}
    trials = [(column, count) for column in columns for count in _counts(len(ranked[column]))]
    left = _ask(tagger, [without(text, [words[i] for i in ranked[column][:count]]) for column, count in trials])
    standing = decide(probabilities(left, tagger.artifact.calibration.temperature), thresholds)
    chosen = dict.fromkeys(columns, 0)
    for column in columns:
        rows = [row for row, trial in enumerate(trials) if trial[0] == column]
        fallen = [row for row in rows if not standing[row, column]]
        if rows:
            chosen[column] = trials[fallen[0] if fallen else min(rows, key=lambda row: left[row, column])][1]
    return {
        column: {
            (words[i][0] + window.start, words[i][1] + window.start): float(weight[i, column])
            for i in ranked[column][:count]
        }
        for column, count in chosen.items()
    }


def _heaviest(weight: NDArray[np.float32]) -> list[int]:
    """Rows with a weight above 0, heaviest first, no more than are ever deleted."""
    order = np.argsort(-weight, kind="stable")[: COUNTS[-1]]
    return [int(i) for i in order if weight[i] > 0]


def _counts(size: int) -> list[int]:
    """`COUNTS` up to a size, and the size itself: ``5`` -> ``[1, 2, 3, 4, 5]``, ``0`` -> ``[]``."""
    return sorted({min(count, size) for count in COUNTS if size})


def _spans(pieces: dict[Piece, float]) -> tuple[Span, ...]:
    """Neighbouring and overlapping pieces as one span, their weights as shares."""
    merged: list[list[float]] = []
    for (start, end), weight in sorted(pieces.items()):
        if merged and start - merged[-1][1] <= MAX_GAP:
            merged[-1][1] = max(merged[-1][1], end)
            merged[-1][2] += weight
        else:
            merged.append([start, end, weight])
    total = sum(weight for _, _, weight in merged)
    return tuple(Span(int(start), int(end), weight / total) for start, end, weight in merged)


def _ask(tagger: Tagger, texts: Sequence[str]) -> NDArray[np.float32]:
    logits, _ = tagger.logits(texts)
    if not np.isfinite(logits).all():
        raise ArtifactError(f"{tagger.artifact.folder}: the model gave a logit that is not finite; restore the model")
    return logits
