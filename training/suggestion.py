"""What to label next: paragraphs that are uncertain, unlike each other, and likely to carry a rare label.

Uncertainty is the binary entropy of the label's probability, weighted by how rare the label is among the annotations;
diversity comes from k-means over the most uncertain paragraphs, one from each cluster (Zhdanov 2019,
arXiv:1901.05954). Knows probabilities and features, not where they come from.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

POOL = 5
"""So many times the number wanted, the most uncertain ones, is what clusters are made of."""


def choose(
    features: Any, probability: NDArray[np.float32], positives: NDArray[np.integer], number: int, seed: int
) -> NDArray[np.intp]:
    """Picks paragraphs to label.

    Args:
        features: A sparse matrix, shape ``(n, grams)``.
        probability: Shape ``(n, L) float32``.
        positives: How often each label has been given so far, shape ``(L,)``.
        number: How many are wanted.
        seed: Of the clusters.

    Returns:
        Rows, the most uncertain first; at most ``number``.
    """
    worth = score(probability, positives)
    pool = np.argsort(-worth, kind="stable")[: POOL * number]
    if len(pool) <= number:
        return pool
    clusters = KMeans(number, random_state=seed, n_init="auto", max_iter=20).fit_predict(features[pool])
    _, first = np.unique(clusters, return_index=True)  # the pool is sorted: the first of a cluster is its best
    chosen = set(first.tolist())
    rest = [place for place in range(len(pool)) if place not in chosen][: number - len(chosen)]  # empty clusters
    return pool[np.sort([*first, *rest])]


def score(probability: NDArray[np.float32], positives: NDArray[np.integer]) -> NDArray[np.float64]:
    """What a paragraph is worth labelling for: the sum over labels of entropy times rarity. Shape: ``(n,)``.

    Rarity is 1 / sqrt(1 + positives): a label seen 99 times counts a tenth of one never seen.
    """
    p = np.clip(probability.astype(np.float64), 1e-6, 1 - 1e-6)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return entropy @ (1 / np.sqrt(1 + positives))
