"""Analysts' corrections from a request into the database. Knows neither routes nor which database."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import anyio.to_thread

from policytag.corrections import ConflictError, Correction, Corrections, StoreError
from policytag.taxonomy import Taxonomy
from serving.answers import check_labels
from serving.correction_schemas import CorrectionIn, CorrectionOut, CorrectionsResponse
from serving.errors import ApiError
from serving.rows import FACET_KEYS

logger = logging.getLogger(__name__)


async def keep(store: Corrections, taxonomy: Taxonomy, corrections: Sequence[CorrectionIn]) -> CorrectionsResponse:
    """Keeps corrections, all or none. When it returns they are on disk.

    Raises:
        ApiError: 422 if a label is unknown or of the other facet, 409 if an id is taken by other content, 503 if the
            database cannot be used.
    """
    rows = [_checked(correction, taxonomy, index) for index, correction in enumerate(corrections)]
    try:
        created = await anyio.to_thread.run_sync(store.add, rows)
    except ConflictError as error:
        message = f"corrections[{error.index}].id: taken by a correction of other content; send another id"
        raise ApiError(409, "id_taken", message, error.index) from None
    except StoreError as error:
        logger.error("%s", error)
        message = "corrections cannot be kept now; nothing was; try again later"
        raise ApiError(503, "store_unavailable", message, headers={"retry-after": "10"}) from None
    return CorrectionsResponse(
        results=[CorrectionOut(id=row.id, created=new) for row, new in zip(rows, created, strict=True)]
    )


def _checked(correction: CorrectionIn, taxonomy: Taxonomy, index: int) -> Correction:
    for facet, key in FACET_KEYS.items():
        labels: list[str] = getattr(correction, key)
        field = f"corrections[{index}].{key}"
        check_labels(taxonomy, labels, field, index)
        for label in labels:
            if taxonomy[label].facet != facet:
                raise ApiError(422, "invalid_field", f"{field}: '{label}' is of the other facet; move it there", index)
        if len(set(labels)) < len(labels):
            raise ApiError(422, "invalid_field", f"{field}: a label occurs twice; send it once", index)
    return Correction(
        id=correction.id,
        doc=correction.doc,
        text=correction.text,
        instruments=tuple(correction.instruments),
        industries=tuple(correction.industries),
        annotator=correction.annotator,
        model=correction.model,
        taxonomy=taxonomy.version,
    )
