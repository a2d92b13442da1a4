"""Which labels are probably wrong: confident learning on out-of-fold probabilities. Changes no label.

cleanlab's confident learning (Northcutt et al. 2021, arXiv:1911.00068; multi-label: Thyagarajan et al. 2022,
arXiv:2211.13895) says label by label where annotation and model contradict each other more than the model's own
mistakes explain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from cleanlab.multilabel_classification import get_label_quality_scores
from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
from numpy.typing import NDArray

from policytag.taxonomy import Taxonomy
from training.annotations import Annotation, gold_matrix

CONTRADICTION = 0.6
"""Distance of probability and annotation, 0 or 1, from which a label is doubtful whatever cleanlab says."""


def audit(rows: Sequence[Annotation], probability: NDArray[np.float32], taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """The paragraphs with a label that is probably wrong, the likeliest first.

    Doubtful is a label that cleanlab calls an issue, and one that the model contradicts by more than `CONTRADICTION`.

    Args:
        rows: ``n`` annotated paragraphs.
        probability: Of models that did not see the row's document, shape ``(n, L) float32``.

    Returns:
        ``{"id", "place", "doc", "text", "instruments", "industries", "quality", "doubts": [{"label", "given",
        "probability"}]}``; ``quality`` is cleanlab's, from 0 (surely wrong) to 1.
    """
    gold = gold_matrix(rows)
    lists = [np.flatnonzero(row).tolist() for row in gold]
    used = [column for column in range(gold.shape[1]) if 0 < gold[:, column].sum() < len(rows)]
    narrow = [[used.index(column) for column in row if column in used] for row in lists]
    doubted = find_multilabel_issues_per_class(labels=narrow, pred_probs=probability[:, used])
    quality = get_label_quality_scores(labels=narrow, pred_probs=probability[:, used])
    wide = np.zeros(gold.shape, dtype=np.bool_)
    wide[:, used] = doubted
    wide |= np.abs(gold - probability) > CONTRADICTION
    return [
        _finding(rows[i], gold[i], probability[i], np.flatnonzero(wide[i]), float(quality[i]), taxonomy)
        for i in np.argsort(quality, kind="stable")
        if wide[i].any()
    ]


def _finding(
    row: Annotation,
    gold: NDArray[np.bool_],
    probability: NDArray[np.float32],
    doubted: NDArray[np.intp],
    quality: float,
    taxonomy: Taxonomy,
) -> dict[str, Any]:
    given = [label for label, right in zip(taxonomy.labels, gold, strict=True) if right]
    return {
        "id": row.id,
        "place": row.place,
        "doc": row.doc,
        "text": row.text,
        "instruments": [label.id for label in given if label.facet == "instrument"],
        "industries": [label.id for label in given if label.facet == "industry"],
        "quality": round(quality, 4),
        "doubts": [
            {"label": taxonomy.ids[i], "given": bool(gold[i]), "probability": round(float(probability[i]), 3)}
            for i in doubted
        ],
    }


def reason(doubt: dict[str, Any]) -> str:
    """``talent missing? 0.97`` or ``talent extra? 0.03``: what the models that did not see the row would say."""
    return f"{doubt['label']} {'extra' if doubt['given'] else 'missing'}? {doubt['probability']:.2f}"
