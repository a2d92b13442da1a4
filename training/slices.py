"""Parts of a test set that are worth figures of their own. Knows neither models nor figures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from policytag.segmentation import segment
from training.annotations import Annotation

MAX_VALUES = 12
"""Values of one slice that get figures; the rest are one value, ``other``."""
MIN_PARAGRAPHS = 5
"""Paragraphs below which a value gets no figures of its own."""
OTHER, UNKNOWN = "other", "unknown"
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?=年|[-./]|$)")
_LENGTHS = ((20, "1 to 20 characters"), (100, "21 to 100"), (300, "101 to 300"), (1000, "301 to 1,000"))


def length(row: Annotation) -> str:
    """Characters of the text, in steps."""
    return next((name for limit, name in _LENGTHS if len(row.text) <= limit), "above 1,000")


def position(row: Annotation) -> str:
    """``heading`` or ``body``, as `policytag.segmentation` judges the paragraph alone."""
    kinds = [paragraph.kind for paragraph in segment(row.text, row.doc).paragraphs]
    return "heading" if kinds == ["heading"] else "body"


def year(row: Annotation) -> str:
    """The key ``year``, else the first year that the document's name or the text gives."""
    given = str(row.extra.get("year") or "")
    found = _YEAR.search(given) or _YEAR.search(row.doc) or _YEAR.search(row.text)
    return found[0] if found else UNKNOWN


def source(row: Annotation) -> str:
    """The key ``sample``, else where the document's name says it is from: its part before the first ``/``."""
    return str(row.extra.get("sample") or (row.doc.partition("/")[0] if "/" in row.doc else UNKNOWN))


def kind(row: Annotation) -> str:
    """The key ``kind``: what sort of document it is."""
    return str(row.extra.get("kind") or UNKNOWN)


SLICES: Mapping[str, Callable[[Annotation], str]] = {
    "length": length,
    "heading or body": position,
    "document kind": kind,
    "year": year,
    "source": source,
}


def values(rows: Sequence[Annotation], of: Callable[[Annotation], str]) -> dict[str, NDArray[np.bool_]]:
    """Value -> which rows have it, shape ``(n,) bool``; the commonest first, rare ones together as ``other``."""
    given = np.array([of(row) for row in rows])
    names, counts = np.unique(given, return_counts=True)
    order = sorted(zip(counts, names, strict=True), key=lambda pair: (-pair[0], pair[1]))
    kept = [str(name) for count, name in order if count >= MIN_PARAGRAPHS][:MAX_VALUES]
    masks = {name: given == name for name in kept}
    rest = ~np.isin(given, kept)
    return masks | ({OTHER: rest} if rest.any() else {})
