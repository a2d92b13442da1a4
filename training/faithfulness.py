"""Whether evidence is what the model goes by: a tag's probability after its evidence is deleted from the text, and
after as many characters elsewhere are. Knows no gold labels: right and wrong tags rest on words alike.

The measure is comprehensiveness (DeYoung et al. 2020, arXiv:1911.03429), beside a random baseline of the same lengths.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policytag.calibration import probabilities
from policytag.errors import InputError
from policytag.evidence import Piece, Span, explain, without
from policytag.tagger import Prediction, Tagger
from policytag.text import Paragraph
from training.annotations import Annotation

DRAWS = 5
"""Random deletions that each tag's evidence is compared with."""
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """Means over the tags that a model gives.

    Attributes:
        tags: How many, of how many ``paragraphs``.
        drop: Loss of the tag's probability when its evidence is deleted.
        random_drop: The same for random spans of the same lengths.
        interval: 95 % of a bootstrap over documents of the difference of the two.
        fallen: Share of the tags that are then below their threshold.
        text: Share of the paragraph's characters that is evidence.
        spans: Spans a tag.
        cost: Time of tagging and explaining, over that of tagging alone, a paragraph at a time.
    """

    tags: int
    paragraphs: int
    drop: float
    random_drop: float
    interval: tuple[float, float]
    fallen: float
    text: float
    spans: float
    cost: float


def measure(tagger: Tagger, rows: Sequence[Annotation], seed: int = 0) -> Faithfulness:
    """Measures every tag that the model gives to the rows.

    Raises:
        InputError: If it gives none.
    """
    draw = random.Random(seed)
    found: list[tuple[float, float, float, float, float]] = []
    docs: list[str] = []
    paragraphs, tagging, explaining = 0, 0.0, 0.0
    for row in rows:
        started = time.perf_counter()
        [prediction] = tagger.tag([Paragraph(row.id, row.doc, 0, row.text)])
        tagged = time.perf_counter()
        evidence = explain(tagger, prediction)
        explained = time.perf_counter()
        if evidence:
            paragraphs += 1
            tagging, explaining = tagging + tagged - started, explaining + explained - tagged
        for label_id, spans in evidence.items():
            found.append(_of_tag(tagger, prediction, label_id, spans, draw))
            docs.append(row.doc)
    if not found:
        raise InputError("the model tags none of these paragraphs; expected some that it tags")
    values = np.array(found)
    drop, random_drop, fallen, text, spans = values.mean(axis=0).tolist()
    interval = _interval(values[:, 0] - values[:, 1], docs, seed)
    cost = (tagging + explaining) / tagging
    return Faithfulness(len(found), paragraphs, drop, random_drop, interval, fallen, text, spans, cost)


def _of_tag(
    tagger: Tagger, prediction: Prediction, label_id: str, spans: Sequence[Span], draw: random.Random
) -> tuple[float, float, float, float, float]:
    text, column = prediction.paragraph.text, tagger.taxonomy.column(label_id)
    lengths = [span.end - span.start for span in spans]
    texts = [without(text, spans), *(without(text, elsewhere(len(text), lengths, draw)) for _ in range(DRAWS))]
    logits, _ = tagger.logits(texts)
    left = probabilities(logits, tagger.artifact.calibration.temperature)[:, column]
    score = prediction.scores[column]
    drop, random_drop = score.probability - left[0], score.probability - left[1:].mean()
    return float(drop), float(random_drop), float(left[0] < score.threshold), sum(lengths) / len(text), len(spans)


def elsewhere(size: int, lengths: Sequence[int], draw: random.Random) -> list[Piece]:
    """Pieces of these lengths at random places of a text of ``size`` characters, ascending, none overlapping."""
    shuffled = draw.sample(lengths, len(lengths))
    gaps = sorted(draw.randint(0, size - sum(lengths)) for _ in lengths)
    pieces, used = [], 0
    for gap, length in zip(gaps, shuffled, strict=True):
        pieces.append((gap + used, gap + used + length))
        used += length
    return pieces


def _interval(differences: NDArray[np.float64], docs: Sequence[str], seed: int) -> tuple[float, float]:
    _, owners = np.unique(np.array(docs), return_inverse=True)
    sums, counts = np.bincount(owners, differences), np.bincount(owners)
    picks = np.random.default_rng(seed).integers(0, len(sums), (RESAMPLES, len(sums)))
    low, high = np.percentile(sums[picks].sum(axis=1) / counts[picks].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)


def render(found: Faithfulness) -> str:
    """Lines for people."""
    low, high = found.interval
    return (
        f"{found.tags} tags of {found.paragraphs} paragraphs\n"
        f"probability lost when the evidence is deleted       {found.drop:.3f}\n"
        f"... when random spans of the same lengths are       {found.random_drop:.3f}\n"
        f"difference                                          {found.drop - found.random_drop:.3f}"
        f" (95 %: {low:.3f} to {high:.3f})\n"
        f"tags that fall below their threshold                {found.fallen:.1%}\n"
        f"share of the text that is evidence                  {found.text:.1%}, in {found.spans:.1f} spans a tag\n"
        f"time of tagging with evidence, over without         {found.cost:.1f}\n"
    )
