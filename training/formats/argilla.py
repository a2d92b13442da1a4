"""Argilla: the JSON that its records are written to, in and out. Knows no labels' meaning.

Read and written as ``Dataset.records.to_json`` and ``from_json`` of Argilla 2.8 do: fields, metadata, suggestions and
responses by question, here the field ``text`` and the multi-label questions ``instruments`` and ``industries``. The
file does not tell submitted responses from drafts and discarded ones; only the record's status ``completed`` does, so
responses of other records count as not given.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from policytag.errors import InputError
from policytag.taxonomy import Taxonomy
from training.annotations import LISTS
from training.formats.document import load_array
from training.formats.judgements import Judged, Judgement, labels_of, without_labels
from training.jsonl import Row

_ANNOTATOR = "00000000-0000-0000-0000-000000000000"
"""Argilla wants a user's id with each response; who labelled the rows before is not known to it."""
_MORE = "more"


def read(path: Path) -> Iterator[Judged]:
    """The records; those that are not completed without their responses.

    Raises:
        InputError: If a record has no field ``text`` or a response is not a list of labels.
    """
    for number, record in enumerate(load_array(path), start=1):
        place = f"{path}: record {record.get('id', number)}"
        fields, metadata = record.get("fields"), dict(record.get("metadata") or {})
        if not isinstance(fields, dict) or "text" not in fields:
            raise InputError(f"{place}: no field 'text'; expected records as Argilla's to_json writes them")
        more = json.loads(metadata.pop(_MORE, "{}"))
        row = {"id": str(record.get("id", number)), "text": fields["text"]} | metadata | more
        responses = record.get("responses") if record.get("status") == "completed" else None
        yield Judged(place, row, tuple(_judgements(responses or {}, place)))


def _judgements(responses: Mapping[str, Any], place: str) -> Iterator[Judgement]:
    by_user: dict[str, list[str]] = {}
    for question in LISTS:
        for response in responses.get(question, ()):
            if not isinstance(response.get("value"), list):
                raise InputError(f"{place}: the response to '{question}' is no list; expected a multi-label question")
            by_user.setdefault(str(response.get("user_id")), []).extend(response["value"])
    for user, labels in by_user.items():
        yield Judgement(user, tuple(labels))


def write(path: Path, rows: Sequence[Row], taxonomy: Taxonomy) -> None:
    """Records to read with ``Dataset.records.from_json``."""
    path.write_text(json.dumps([_record(row, taxonomy) for row in rows], ensure_ascii=False, indent=1) + "\n", "utf-8")


def _record(row: Row, taxonomy: Taxonomy) -> Row:
    other = {key: value for key, value in without_labels(row).items() if key not in ("id", "text", "suggested")}
    plain = {key: value for key, value in other.items() if isinstance(value, str) and key != _MORE}
    rest = {key: value for key, value in other.items() if key not in plain}
    if rest:  # metadata are texts or numbers; what is neither, and numbers lest they change kind, goes as JSON
        plain[_MORE] = json.dumps(rest, ensure_ascii=False)
    labels, suggested = labels_of(row), row.get("suggested")
    return {
        "id": row["id"],
        "fields": {"text": row["text"]},
        "metadata": plain,
        "suggestions": {
            q: {"value": v, "score": None, "agent": None} for q, v in _by_question(suggested, taxonomy).items()
        },
        "responses": {q: [{"value": v, "user_id": _ANNOTATOR}] for q, v in _by_question(labels, taxonomy).items()},
        "vectors": {},
        "status": "pending" if labels is None else "completed",
    }


def _by_question(labels: Sequence[str] | None, taxonomy: Taxonomy) -> dict[str, list[str]]:
    """Labels by question; without labels no question is answered, with none both are, by an empty list."""
    if labels is None:
        return {}
    return {key: [label for label in labels if taxonomy[label].facet == facet] for key, facet in LISTS.items()}
