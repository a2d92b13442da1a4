"""Which documents are held out. Knows labels as columns only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from policytag.errors import InputError

DRAWS = 500
"""Random splits the best is taken of: enough to balance eighteen labels, few enough to take a second."""


def hold_out(docs: Sequence[str], gold: NDArray[np.bool_], share: float, seed: int) -> NDArray[np.bool_]:
    """Picks whole documents so that about ``share`` of the paragraphs *and* of every label's positives is held out.

    Of many random splits the one nearest to these targets is taken. A greedy choice would balance better, but prefer
    long documents to short ones, and the held-out set is to be like the rest.

    Args:
        docs: ``n`` document names, one a paragraph.
        gold: Shape ``(n, L) bool``.
        share: In (0, 1).
        seed: Of the draws.

    Returns:
        Which paragraphs are held out, shape ``(n,) bool``; at least one document is, and one is not.

    Raises:
        InputError: If there are fewer than two documents.
    """
    names, owners = np.unique(np.asarray(docs), return_inverse=True)
    if len(names) < 2:
        raise InputError(f"cannot hold documents out: all rows are of '{names[0]}'; expected at least 2 documents")
    counts = _counts(owners, gold, len(names))
    target = np.maximum(counts.sum(axis=0) * share, 1.0)
    rng = np.random.default_rng(seed)
    best, picked = np.inf, np.empty(0, dtype=np.intp)
    for _ in range(DRAWS):
        order = rng.permutation(len(names))
        held = counts[order].cumsum(axis=0)[:-1]
        # As many documents of this order as bring the paragraphs, the last column, nearest to their share.
        last = int(np.abs(held[:, -1] - target[-1]).argmin())
        distance = float((((held[last] - target) / target) ** 2).sum())
        if distance < best:
            best, picked = distance, order[: last + 1]
    return np.isin(owners, picked)


def _counts(owners: NDArray[np.intp], gold: NDArray[np.bool_], num_docs: int) -> NDArray[np.float64]:
    """Positives of each label and, in the last column, paragraphs of each document. Shape: ``(d, L + 1)``."""
    columns = np.concatenate([gold, np.ones((len(gold), 1), dtype=bool)], axis=1)
    counts = np.zeros((num_docs, columns.shape[1]))
    np.add.at(counts, owners, columns)
    return counts
