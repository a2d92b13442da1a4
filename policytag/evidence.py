"""Which words of a paragraph speak for its tags, found by occlusion. Knows neither HTTP nor how spans are shown.

The model is asked again without each word (occlusion, Zeiler and Fergus 2014, arXiv:1311.2901), and with each word
alone: where two words say the same, the loss of either changes little. For each tag, the strongest words are then taken
out together, one more at a time, until the tag falls below its threshold: these are its evidence. It says what the model
went by, which is not always what a reader would underline, and a tag that a text supports many times over may keep
standing without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policytag.calibration import decide, probabilities
from policytag.errors import ArtifactError
from policytag.tagger import Prediction, Tagger

MAX_WORDS = 32
"""Pieces that a window is taken apart into; in a longer window each is several neighbouring tokens."""
MAX_REMOVED = 12
"""Pieces that the evidence of one tag in one window is made of."""
MAX_WINDOWS = 4
"""Windows of a long paragraph that are looked into for one tag, strongest first."""
MAX_GAP = 1
"""Pieces with at most so many characters between them are one span."""
ALONE = 0.3
"""What a word does alone counts so much of what its loss does."""

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

    Costs, for each window looked into, two short calls of the model: at most ``2 * MAX_WORDS + 2`` texts, half of them
    single words, and at most ``MAX_REMOVED`` a tag.

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
        logits: Shape ``(L,) float32``.
    """

    start: int
    text: str
    words: list[Piece]
    logits: NDArray[np.float32]


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
            yield _Window(start, text[start:end], words, logits[row]), of_row


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
    texts = [*(without(text, [word]) for word in words), *(text[a:b] for a, b in words), ""]
    logits = _ask(tagger, texts)
    lost = window.logits - logits[: len(words)]
    alone = logits[len(words) : -1] - logits[-1]
    weight = np.maximum(lost, 0) + ALONE * np.maximum(alone, 0)  # (words, L)

    ranked = {column: _strongest(weight[:, column]) for column in columns}
    trials = [(column, count) for column in columns for count in range(1, len(ranked[column]) + 1)]
    if not trials:
        return {}
    left = _ask(tagger, [without(text, [words[i] for i in ranked[column][:count]]) for column, count in trials])
    standing = decide(probabilities(left, tagger.artifact.calibration.temperature), thresholds)
    chosen: dict[int, int] = {}
    for column in columns:
        rows = [row for row, trial in enumerate(trials) if trial[0] == column]
        fallen = [row for row in rows if not standing[row, column]]
        best = fallen[0] if fallen else min(rows, key=lambda row: left[row, column], default=None)
        chosen[column] = trials[best][1] if best is not None else 0
    return {
        column: {(words[i][0] + window.start, words[i][1] + window.start): float(weight[i, column]) for i in ranked[column][:count]}
        for column, count in chosen.items()
    }


def _strongest(weight: NDArray[np.float32]) -> list[int]:
    """Up to `MAX_REMOVED` rows with a weight above 0, heaviest first."""
    order = np.argsort(-weight, kind="stable")[:MAX_REMOVED]
    return [int(i) for i in order if weight[i] > 0]


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
