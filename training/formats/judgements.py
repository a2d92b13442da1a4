"""What annotators said of paragraphs, before it is one annotation each. Knows no tool's format.

A tool's file becomes `Judged` paragraphs: their own keys, and what each annotator said. `resolve` makes annotation rows
of them; what cannot become one is named with its place and left out, never dropped silently.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from policytag.errors import InputError
from policytag.taxonomy import FACETS, Taxonomy
from policytag.text import is_blank
from training.annotations import LISTS
from training.jsonl import Row, shown

MAJORITY, ALL = "majority", "all"
RESOLUTIONS = (MAJORITY, ALL)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One annotator's labels of one paragraph; no label means "read, nothing applies"."""

    annotator: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """A paragraph of a tool's file.

    Attributes:
        place: Where it stands: ``"tasks.json: task 3"``.
        row: Its keys (``id``, ``doc``, ``text`` and others) without the labels.
        judgements: One an annotator; none if nobody has judged it yet.
    """

    place: str
    row: Row
    judgements: tuple[Judgement, ...]


@dataclass
class Resolved:
    """Annotation rows, and what did not become one.

    Attributes:
        rows: As annotation files have them.
        rejected: One line each, with the place.
        unlabelled: How many paragraphs nobody has judged.
    """

    rows: list[Row] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    unlabelled: int = 0


def resolve(paragraphs: Iterable[Judged], taxonomy: Taxonomy, how: str = MAJORITY, doc: str | None = None) -> Resolved:
    """Makes annotation rows.

    Args:
        paragraphs: From a reader of this package.
        how: ``majority``: one row a paragraph with the labels that more than half of its annotators gave; where just
            half did, the paragraph is rejected for a third person to decide. ``all``: one row a judgement, with the
            key ``annotator``, as ``policytag-train agree`` reads them.
        doc: The document of paragraphs that name none.
    """
    result = Resolved()
    for paragraph in paragraphs:
        try:
            row = _checked(paragraph.row, doc)
            sets = [_sorted_labels(judgement.labels, taxonomy) for judgement in paragraph.judgements]
            if not sets:
                result.unlabelled += 1
            elif how == ALL:
                for judgement, labels in zip(paragraph.judgements, sets, strict=True):
                    result.rows.append(row | _lists(labels, taxonomy) | {"annotator": judgement.annotator})
            else:
                result.rows.append(row | _lists(_majority(sets), taxonomy) | {"annotators": _count(row, len(sets))})
        except InputError as error:
            result.rejected.append(f"{paragraph.place}: {error}")
    return result


def label_id(name: str, taxonomy: Taxonomy) -> str:
    """The id of a label that a tool calls by its id or its Chinese or English name.

    Raises:
        InputError: Naming the nearest.
    """
    wanted = name.strip()
    if wanted in taxonomy:
        return taxonomy[wanted].id
    names = {other: label.id for label in taxonomy.labels for other in (label.name_zh, label.name_en)}
    if wanted in names:
        return names[wanted]
    near = difflib.get_close_matches(wanted, [*taxonomy.ids, *names], n=1, cutoff=0.0)
    raise InputError(f"unknown label '{name}'; did you mean '{near[0]}'? (taxonomy version {taxonomy.version})")


def labels_of(row: Mapping[str, Any]) -> tuple[str, ...] | None:
    """All label ids of an annotation row; None if it has not been labelled."""
    if any(not isinstance(row.get(key), list) for key in LISTS):
        return None
    return tuple(label for key in LISTS for label in row[key])


def without_labels(row: Mapping[str, Any]) -> Row:
    """A row's other keys."""
    return {key: value for key, value in row.items() if key not in LISTS}


def _checked(row: Row, doc: str | None) -> Row:
    row = row if row.get("doc") or doc is None else row | {"doc": doc}
    for key in ("id", "doc", "text"):
        if not isinstance(row.get(key), str) or is_blank(row[key]):
            fix = ", give --doc" if key == "doc" else ""
            raise InputError(f"key '{key}' is {shown(row.get(key))}; expected a text that is not blank{fix}")
    return {key: row[key] for key in ("id", "doc")} | {k: v for k, v in row.items() if k not in ("id", "doc")}


def _sorted_labels(names: Sequence[str], taxonomy: Taxonomy) -> frozenset[str]:
    return frozenset(label_id(name, taxonomy) for name in names if name not in taxonomy.retired)


def _majority(sets: Sequence[frozenset[str]]) -> frozenset[str]:
    votes = Counter(label for labels in sets for label in labels)
    split = sorted(label for label, count in votes.items() if 2 * count == len(sets))
    if split:
        raise InputError(
            f"{len(sets)} annotators are split over {', '.join(split)}; expected a majority, let one more decide"
        )
    return frozenset(label for label, count in votes.items() if 2 * count > len(sets))


def _lists(labels: frozenset[str], taxonomy: Taxonomy) -> Row:
    """``{"instruments": […], "industries": […]}`` in the taxonomy's order."""
    keys = {facet: key for key, facet in LISTS.items()}
    return {
        keys[facet]: [
            taxonomy.ids[column] for column in taxonomy.facet_columns(facet) if taxonomy.ids[column] in labels
        ]
        for facet in FACETS
    }


def _count(row: Row, judged: int) -> int:
    """How many people judged a paragraph: those in the tool, or those it had before it came there, if more."""
    before = row.get("annotators")
    return max(judged, before) if isinstance(before, int) else judged
