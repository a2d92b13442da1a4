"""Logits of annotated rows by models that did not see them, as a file. Knows neither models nor what logits are for.

A row is ``{"id": …, "logits": {label id: number}}``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from policytag.errors import InputError
from policytag.taxonomy import Taxonomy
from training import jsonl
from training.annotations import Annotation


def write(path: Path, rows: Sequence[Annotation], logits: NDArray[np.float32], taxonomy: Taxonomy) -> None:
    """Writes the logits of ``n`` rows, shape ``(n, L) float32``."""
    named = ({label: round(float(x), 4) for label, x in zip(taxonomy.ids, values, strict=True)} for values in logits)
    jsonl.write(path, ({"id": row.id, "logits": numbers} for row, numbers in zip(rows, named, strict=True)))


def read(path: Path, rows: Sequence[Annotation], taxonomy: Taxonomy) -> tuple[list[Annotation], NDArray[np.float32]]:
    """Those of ``rows`` that the file has, and their logits, shape ``(n, L) float32``.

    Raises:
        InputError: If a row of the file lacks a label's number, or none is one of ``rows``.
    """
    known: dict[str, list[float]] = {}
    for place, row in jsonl.read(path):
        try:
            numbers = [float(row["logits"][label]) for label in taxonomy.ids]
            known[row["id"]] = numbers
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{place}: no id with a number for every label ({error}); write it anew") from None
        if not np.isfinite(numbers).all():
            raise InputError(f"{place}: a logit is not finite; write it anew")
    chosen = [row for row in rows if row.id in known]
    if not chosen:
        raise InputError(f"{path}: no id is an annotation's; expected logits of annotated rows")
    return chosen, np.array([known[row.id] for row in chosen], dtype=np.float32)
