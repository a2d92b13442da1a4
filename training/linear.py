"""The cheap model behind `audit` and `suggest`: TF-IDF over character n-grams, one logistic regression a label.

It learns in seconds what a network learns in minutes, and gives probabilities, which the baseline's SVM does not. Knows
nothing of what its probabilities are used for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from policytag.errors import InputError
from policytag.text import normalise

NGRAM_MAX = 3
STRENGTH = 10.0
"""Inverse regularisation."""


def features(texts: Sequence[str]) -> Any:
    """A sparse matrix, shape ``(n, grams)``, rows of length 1."""
    vectorizer = TfidfVectorizer(
        preprocessor=lambda text: normalise(text).lower(), analyzer="char", ngram_range=(1, NGRAM_MAX), min_df=2,
        sublinear_tf=True,
    )  # fmt: skip
    return vectorizer.fit_transform(texts)


def probabilities(train: Any, gold: NDArray[np.bool_], questions: Any) -> NDArray[np.float32]:
    """Learns labels from some rows of features and gives their probabilities for others.

    A label with only positives or only negatives in training has its share there everywhere.

    Args:
        train: Shape ``(n, grams)``.
        gold: Shape ``(n, L) bool``.
        questions: Shape ``(m, grams)``.

    Returns:
        Shape ``(m, L) float32`` in [0, 1].
    """
    out = np.empty((questions.shape[0], gold.shape[1]), dtype=np.float32)
    for column in range(gold.shape[1]):
        label = gold[:, column]
        if label.all() or not label.any():
            out[:, column] = float(label.all())
            continue
        model = LogisticRegression(C=STRENGTH, solver="liblinear")
        out[:, column] = model.fit(train, label).predict_proba(questions)[:, 1]
    return out


def out_of_fold(texts: Sequence[str], gold: NDArray[np.bool_], docs: Sequence[str], folds: int) -> NDArray[np.float32]:
    """Probabilities of every text by a model that saw no text of its document. Shape: ``(n, L) float32``.

    Raises:
        InputError: If there are fewer documents than folds.
    """
    if len(set(docs)) < folds:
        raise InputError(f"--folds {folds}: only {len(set(docs))} documents; expected at most that many folds")
    matrix = features(texts)
    out = np.empty(gold.shape, dtype=np.float32)
    for train, test in GroupKFold(folds).split(matrix, groups=np.asarray(docs)):
        out[test] = probabilities(matrix[train], gold[train], matrix[test])
    return out
