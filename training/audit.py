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


def audit(rows: Sequence[Annotation], probability: NDArray[np.float32], taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """All paragraphs, those with labels that are probably wrong first.

    Args:
        rows: ``n`` annotated paragraphs.
        probability: Of models that did not see the row's document, shape ``(n, L) float32``.

    Returns:
        ``{"id", "place", "doc", "text", "instruments", "industries", "issue", "quality", "doubts": [{"label", "given",
        "probability"}]}``; ``issue``: whether cleanlab finds a label wrong; ``quality``: its score, from 0 to 1;
        ``doubts``: these labels, or else the one that is contradicted most.
    """
    gold = gold_matrix(rows)
    lists = [np.flatnonzero(row).tolist() for row in gold]
    used = [column for column in range(gold.shape[1]) if 0 < gold[:, column].sum() < len(rows)]
    narrow = [[used.index(column) for column in row if column in used] for row in lists]
    doubted = find_multilabel_issues_per_class(labels=narrow, pred_probs=probability[:, used])
    quality = get_label_quality_scores(labels=narrow, pred_probs=probability[:, used])
    issues = np.zeros(gold.shape, dtype=np.bool_)
    issues[:, used] = doubted
    gaps = np.abs(gold - probability)
    return [
        _finding(rows[i], gold[i], probability[i], issues[i], gaps[i], float(quality[i]), taxonomy)
        for i in np.argsort(quality, kind="stable")
    ]


def _finding(
    row: Annotation,
    gold: NDArray[np.bool_],
    probability: NDArray[np.float32],
    issues: NDArray[np.bool_],
    gaps: NDArray[np.float32],
    quality: float,
    taxonomy: Taxonomy,
) -> dict[str, Any]:
    doubted = np.flatnonzero(issues) if issues.any() else [int(gaps.argmax())]
    given = [label for label, right in zip(taxonomy.labels, gold, strict=True) if right]
    return {
        "id": row.id,
        "place": row.place,
        "doc": row.doc,
        "text": row.text,
        "instruments": [label.id for label in given if label.facet == "instrument"],
        "industries": [label.id for label in given if label.facet == "industry"],
        "issue": bool(issues.any()),
        "quality": round(quality, 4),
        "doubts": [
            {"label": taxonomy.ids[i], "given": bool(gold[i]), "probability": round(float(probability[i]), 3)}
            for i in doubted
        ],
    }


def reason(doubt: dict[str, Any]) -> str:
    """``talent missing? 0.97`` or ``talent extra? 0.03``: what the models that did not see the row would say."""
    return f"{doubt['label']} {'extra' if doubt['given'] else 'missing'}? {doubt['probability']:.2f}"
