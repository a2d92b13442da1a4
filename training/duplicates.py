"""Which texts are the same, or nearly. Knows neither labels nor documents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from policytag.text import normalise

NEAR = 0.8
"""Share of their character 5-grams that two texts have in common from which they are nearly the same (Jaccard)."""
GRAM = 5
_LOT = 512


def same(texts: Sequence[str]) -> list[list[int]]:
    """Groups of two or more texts that are the same after `policytag.text.normalise`, in order of appearance."""
    places: dict[str, list[int]] = defaultdict(list)
    for number, text in enumerate(texts):
        places[normalise(text)].append(number)
    return [group for group in places.values() if len(group) > 1]


def near(texts: Sequence[str], share: float = NEAR) -> Iterator[tuple[int, int, float]]:
    """Pairs of different texts with at least ``share`` of their 5-grams in common, and that share.

    ``abcdef`` and ``abcdeg`` have the 5-grams {abcde, bcdef} and {abcde, bcdeg}: 1 of 3 in common. Texts of less than
    five characters have none. Exact, by a product of sparse matrices: ten thousand paragraphs take seconds.
    """
    plain = [normalise(text) for text in texts]
    vectorizer = CountVectorizer(analyzer="char", ngram_range=(GRAM, GRAM), binary=True)
    try:
        grams: Any = vectorizer.fit_transform(plain)  # a sparse matrix, (n, grams)
    except ValueError:  # no text has a gram
        return
    sizes = np.asarray(grams.sum(axis=1)).ravel()
    turned = grams.T.tocsr()
    for start in range(0, len(plain), _LOT):
        common = (grams[start : start + _LOT] @ turned).tocoo()
        left, right, shared = common.row + start, common.col, common.data
        jaccard = shared / (sizes[left] + sizes[right] - shared)
        for i in np.flatnonzero((left < right) & (jaccard >= share)):
            if plain[left[i]] != plain[right[i]]:
                yield int(left[i]), int(right[i]), float(jaccard[i])
