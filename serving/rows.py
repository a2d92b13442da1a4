"""The rows that ``policytag tag`` writes and ``policytag show`` reads. Knows neither files nor models.

One JSON object a line, in input order, and one of three kinds by ``status``: ``ok`` (tagged), ``furniture`` (written so
that nothing is lost, never tagged) and ``rejected`` (could not be read; ``error`` says why).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict, TypeGuard

from policytag.errors import InputError
from policytag.evidence import Span
from policytag.readers import Rejected
from policytag.tagger import Prediction
from policytag.taxonomy import FACETS, Taxonomy
from policytag.text import Paragraph

Row = dict[str, Any]
"""A row as it stands in the file; see `tagged_row` and `rejected_row` for its keys."""

FACET_KEYS = dict(zip(FACETS, ("instruments", "industries"), strict=True))
"""Facet -> the key its tags stand under."""

_PARAGRAPH_KEYS = frozenset({"id", "index", "headings", *FACET_KEYS.values(), "truncated", "model"})
_NEEDED = {"ok": _PARAGRAPH_KEYS, "furniture": _PARAGRAPH_KEYS, "rejected": frozenset({"error"})}
"""Status -> the keys that a row is read by, beside ``doc``."""


class Tag(TypedDict):
    """An assigned label: its id, its Chinese name, its probability to four places, and its evidence where asked for."""

    id: str
    name: str
    score: float
    evidence: NotRequired[list[dict[str, float]]]


def tags(
    prediction: Prediction, taxonomy: Taxonomy, evidence: Mapping[str, Iterable[Span]] | None = None
) -> dict[str, list[Tag]]:
    """``{"instruments": [{"id": "subsidy", "name": "资金补贴", "score": 0.9526}], "industries": []}``.

    Args:
        evidence: What `policytag.evidence.explain` found; each tag then has its spans under ``evidence``.
    """
    found: dict[str, list[Tag]] = {}
    for facet, key in FACET_KEYS.items():
        found[key] = []
        for score in prediction.assigned(taxonomy, facet):
            tag = Tag(id=score.label_id, name=taxonomy[score.label_id].name_zh, score=round(score.probability, 4))
            if evidence is not None:
                spans = evidence[score.label_id]
                tag["evidence"] = [{"start": s.start, "end": s.end, "weight": round(s.weight, 4)} for s in spans]
            found[key].append(tag)
    return found


def tagged_row(
    prediction: Prediction,
    taxonomy: Taxonomy,
    *,
    text: bool = True,
    scores: bool = False,
    evidence: Mapping[str, Iterable[Span]] | None = None,
) -> Row:
    """The row of a tagged paragraph.

    Args:
        text: Whether the paragraph's text is part of the row.
        scores: Whether every label's probability is added under ``scores``.
        evidence: As for `tags`.
    """
    row = _head(prediction.paragraph, "ok", text) | tags(prediction, taxonomy, evidence)
    row |= {"truncated": prediction.truncated, "model": prediction.model_version}
    if scores:
        row["scores"] = {s.label_id: round(s.probability, 4) for s in prediction.scores}
    return row


def furniture_row(paragraph: Paragraph, model_version: str, *, text: bool = True) -> Row:
    """The row of page furniture: no tags."""
    row: Row = _head(paragraph, "furniture", text) | {key: [] for key in FACET_KEYS.values()}
    return row | {"truncated": False, "model": model_version}


def rejected_row(rejected: Rejected) -> Row:
    """``{"doc": "a.jsonl", "line": 3, "status": "rejected", "error": "not JSON …"}``; ``id`` and ``line`` if known."""
    row: Row = {} if rejected.id is None else {"id": rejected.id}
    row["doc"] = rejected.doc
    if rejected.line is not None:
        row["line"] = rejected.line
    return row | {"status": "rejected", "error": rejected.reason}


def _head(paragraph: Paragraph, status: str, text: bool) -> Row:
    row: Row = {
        "id": paragraph.id,
        "doc": paragraph.doc_id,
        "index": paragraph.index,
        "kind": paragraph.kind,
        "headings": list(paragraph.headings),
        "text": paragraph.text,
        "status": status,
    }
    if not text:
        del row["text"]
    return row


def dump(row: Row) -> bytes:
    """One line of UTF-8 with Chinese unescaped; a lone surrogate, which UTF-8 cannot hold, stays escaped."""
    try:
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(row).encode() + b"\n"


def load(lines: Iterable[bytes], where: Path) -> Iterator[Row]:
    """Reads rows back.

    Raises:
        InputError: Naming the line that ``policytag tag`` did not write.
    """
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not _is_row(row):
            raise InputError(f"{where}:{number}: not a row; expected a file written by 'policytag tag -o'")
        yield row


def _is_row(row: object) -> TypeGuard[Row]:
    if not isinstance(row, dict) or not isinstance(row.get("doc"), str) or not isinstance(row.get("status"), str):
        return False
    return row["status"] in _NEEDED and _NEEDED[row["status"]] <= row.keys()
