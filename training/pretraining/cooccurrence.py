"""First token vectors from co-occurrence: shifted positive PMI, then a truncated SVD.

Levy, Goldberg and Dagan, "Improving distributional similarity with lessons learned from word embeddings" (TACL 2015):
a linearly falling window, context distribution smoothing 0.75, a shift of the PMI. It knows token ids and paragraph
lengths, not text, tokenizers or networks.
"""

from __future__ import annotations

import logging

import numpy as np
import scipy.sparse as sp
from sklearn.utils.extmath import randomized_svd

logger = logging.getLogger(__name__)

CHUNK = 1_000_000  # tokens counted at a time
SPREAD = 0.05  # standard deviation of a vector's entries, near that of BERT's own initialisation


def count_neighbours(
    ids: np.ndarray, lengths: np.ndarray, keep: np.ndarray, vocabulary: int, window: int = 8
) -> sp.csr_matrix:
    """Counts which tokens stand near which, within paragraphs.

    A neighbour at distance d counts (window + 1 - d) / window. The paragraph "a b c" with window 2 counts
    (a, b) 1, (b, c) 1, (a, c) 0.5, and the same mirrored.

    Args:
        ids: Shape: (tokens,) unsigned integers.
        lengths: Shape: (paragraphs,); their sum is the number of tokens.
        keep: Shape: (paragraphs,) bool; the others are not counted.

    Returns:
        Shape: (vocabulary, vocabulary) float32, symmetric.
    """
    ends = np.cumsum(lengths, dtype=np.int64)
    total = sp.csr_matrix((vocabulary, vocabulary), dtype=np.float32)
    for start in range(0, len(ids), CHUNK):
        stop = min(start + CHUNK, len(ids))
        seen = min(stop + window, len(ids))
        tokens = ids[start:seen].astype(np.int32)
        paragraph = np.searchsorted(ends, np.arange(start, seen), side="right")
        rows, columns, weights = [], [], []
        for distance in range(1, window + 1):
            size = min(stop - start, len(tokens) - distance)
            near = (paragraph[:size] == paragraph[distance : distance + size]) & keep[paragraph[:size]]
            rows.append(tokens[:size][near])
            columns.append(tokens[distance : distance + size][near])
            weights.append(np.full(len(rows[-1]), (window + 1 - distance) / window, dtype=np.float32))
        where = (np.concatenate(rows), np.concatenate(columns))
        total = total + sp.coo_matrix((np.concatenate(weights), where), shape=total.shape).tocsr()
    return sp.csr_matrix(total + total.transpose())


def shifted_ppmi(counts: sp.csr_matrix, shift: float = 1.5, smoothing: float = 0.75) -> sp.csr_matrix:
    """max(0, PMI - log(shift)), the context distribution raised to the power `smoothing`."""
    pairs = counts.tocoo()
    frequency = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    context = frequency**smoothing
    expected = frequency[pairs.row] * context[pairs.col] / context.sum()
    information = np.log(pairs.data / expected) - np.log(shift)
    kept = information > 0
    values = information[kept].astype(np.float32)
    return sp.csr_matrix((values, (pairs.row[kept], pairs.col[kept])), shape=counts.shape)


def cooccurrence_vectors(
    ids: np.ndarray, lengths: np.ndarray, keep: np.ndarray, vocabulary: int, size: int, seed: int = 0
) -> np.ndarray:
    """One vector for each token: rank-`size` SVD of the shifted PPMI matrix, rows normalised.

    Tokens without neighbours get random vectors of the same length.

    Returns:
        Shape: (vocabulary, size) float32; entries with standard deviation 0.05.
    """
    matrix = shifted_ppmi(count_neighbours(ids, lengths, keep, vocabulary))
    rank = min(size, vocabulary - 1)
    left, values, _ = randomized_svd(matrix, rank, n_iter=3, random_state=seed)  # type: ignore[arg-type]  # the stub says str
    vectors = np.random.default_rng(seed).normal(0, SPREAD, (vocabulary, size))
    found = np.zeros((vocabulary, size))
    found[:, :rank] = left * np.sqrt(values)
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    known = norms[:, 0] > 1e-6
    vectors[known] = found[known] / norms[known] * SPREAD * np.sqrt(size)
    logger.info("co-occurrence: %d pairs, vectors for %d of %d tokens", matrix.nnz, known.sum(), vocabulary)
    return vectors.astype(np.float32)
