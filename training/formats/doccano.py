"""doccano: the JSONL of a text classification project, in and out. Knows no labels' meaning.

Read and written as doccano 1.8 does: ``{"id": 7, "text": "…", "label": ["…"], "Comments": […], …}``, other keys of the
imported rows beside them. doccano gives ``id`` itself, so a paragraph's own is called ``paragraph`` there. It
writes ``"label": []`` for a paragraph that nobody has opened as for one that nothing applies to: export only approved
ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from policytag.errors import InputError
from policytag.taxonomy import Taxonomy
from training import jsonl
from training.formats.judgements import Judged, Judgement, labels_of, without_labels
from training.jsonl import Row

_OWN = ("id", "label", "Comments", "paragraph", "suggested")
OWN_ID = "paragraph"


def read(path: Path) -> Iterator[Judged]:
    """The rows of an export; an export of one annotator's work (``anna.jsonl``) names her.

    Raises:
        InputError: If a row has no list of labels.
    """
    annotator = "" if path.stem == "all" else path.stem
    for place, row in jsonl.read(path):
        labels = row.get("label")
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise InputError(
                f"{place}: 'label' is {jsonl.shown(labels)}; expected doccano's JSONL of a text classification"
            )
        own = {"id": str(row.get(OWN_ID, f"doccano-{row.get('id')}"))} | {k: v for k, v in row.items() if k not in _OWN}
        if row.get("Comments"):
            own["comments"] = row["Comments"]
        yield Judged(place, own, (Judgement(annotator, tuple(labels)),))


def write(path: Path, rows: Sequence[Row], taxonomy: Taxonomy) -> None:
    """Rows to import with the text column ``text`` and the label column ``label``."""
    lines = []
    for row in rows:
        own = {OWN_ID if key == "id" else key: value for key, value in without_labels(row).items()}
        labels = labels_of(row)
        lines.append(own | {"label": list(labels if labels is not None else row.get("suggested", []))})
    jsonl.write(path, lines)
    types = [{"text": label.id, "suffix_key": None} for label in taxonomy.labels]
    path.with_suffix(".labels.json").write_text(json.dumps(types, indent=1) + "\n", encoding="utf-8")
