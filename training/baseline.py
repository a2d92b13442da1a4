"""What the model has to beat: TF-IDF over character n-grams and one linear SVM a label. Knows no neural network."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from policytag.errors import InputError
from policytag.text import normalise
from training.config import Config

log = logging.getLogger(__name__)


def scores(train: Sequence[str], gold: NDArray[np.bool_], texts: Sequence[str], config: Config) -> NDArray[np.float64]:
    """Trains on some texts and scores others; a label is assigned where its score is above 0.

    A label with only positives or only negatives in training scores 1 or -1 everywhere.

    Args:
        train: ``n`` texts.
        gold: Shape ``(n, L) bool``.
        texts: ``m`` texts.

    Returns:
        Signed distances to the separating planes, shape ``(m, L) float64``.

    Raises:
        InputError: If no n-gram occurs in enough of the training texts.
    """
    vectorizer = TfidfVectorizer(
        preprocessor=_plain,
        analyzer="char",
        ngram_range=(1, config.baseline_ngram_max),
        min_df=config.baseline_min_df,
        sublinear_tf=True,
    )
    try:
        features = vectorizer.fit_transform(train)
    except ValueError as error:
        raise InputError(f"baseline: {error} (min_df is baseline_min_df; or give --skip-baseline)") from None
    questions = vectorizer.transform(texts)
    log.info("baseline: %d paragraphs, %d character n-grams", len(train), len(vectorizer.vocabulary_))
    out = np.empty((len(texts), gold.shape[1]))
    for column in range(gold.shape[1]):
        label = gold[:, column]
        if label.all() or not label.any():
            out[:, column] = 1.0 if label.all() else -1.0
            continue
        svm = LinearSVC(C=config.baseline_c, class_weight="balanced", random_state=config.seed)
        out[:, column] = svm.fit(features, label).decision_function(questions)
    return out


def _plain(text: str) -> str:
    return normalise(text).lower()
