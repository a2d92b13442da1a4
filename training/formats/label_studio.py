"""Label Studio: the JSON of its tasks, in and out, and the labelling page that fits. Knows no labels' meaning.

Read and written as Label Studio 1.23 does: ``[{"data": {…}, "annotations": [{"completed_by", "result": […]}]}]``
(https://labelstud.io/guide/export, /guide/predictions).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from policytag.errors import InputError
from policytag.taxonomy import FACETS, Taxonomy
from training.annotations import LISTS
from training.formats.document import load_array
from training.formats.judgements import Judged, Judgement, labels_of, without_labels
from training.jsonl import Row

PAGE_SUFFIX = ".xml"
_TITLES = {"instrument": "政策工具", "industry": "产业"}


def read(path: Path) -> Iterator[Judged]:
    """The tasks of a JSON export, skipped annotations left out.

    Raises:
        InputError: If the file is not what Label Studio's export named "JSON" holds.
    """
    for number, task in enumerate(load_array(path), start=1):
        place = f"{path}: task {task.get('id', number)}"
        data, annotations = task.get("data"), task.get("annotations", [])
        if not isinstance(data, dict) or not isinstance(annotations, list):
            raise InputError(f"{place}: no 'data' or odd 'annotations'; expected Label Studio's export named JSON")
        row = {"id": f"task-{task.get('id', number)}"} | {k: v for k, v in data.items() if k != "suggested"}
        yield Judged(place, row, tuple(_judgement(a, place) for a in annotations if not a.get("was_cancelled")))


def _judgement(annotation: Row, place: str) -> Judgement:
    by = annotation.get("completed_by")
    name = by.get("email") or by.get("id") if isinstance(by, dict) else by
    try:
        chosen = [
            label for part in annotation["result"] if part["type"] == "choices" for label in part["value"]["choices"]
        ]
    except (KeyError, TypeError) as error:
        raise InputError(f"{place}: an annotation without {error}; expected results of the type 'choices'") from None
    return Judgement(str(name), tuple(chosen))


def write(path: Path, rows: Sequence[Row], taxonomy: Taxonomy) -> None:
    """Tasks to import: labels as annotations, ``suggested`` ones as predictions; the labelling page beside them."""
    tasks = [_task(row, taxonomy) for row in rows]
    path.write_text(json.dumps(tasks, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(PAGE_SUFFIX).write_text(page(taxonomy), encoding="utf-8")


def _task(row: Row, taxonomy: Taxonomy) -> Row:
    task: Row = {"data": without_labels(row)}
    labels = labels_of(row)
    if labels is not None:
        task["annotations"] = [{"result": _result(labels, taxonomy)}]
    if isinstance(row.get("suggested"), list):
        task["predictions"] = [
            {"model_version": str(row.get("model", "")), "result": _result(row["suggested"], taxonomy)}
        ]
    return task


def _result(labels: Sequence[str], taxonomy: Taxonomy) -> list[dict[str, Any]]:
    keys = {facet: key for key, facet in LISTS.items()}
    chosen = {facet: [label for label in labels if taxonomy[label].facet == facet] for facet in FACETS}
    return [
        {"from_name": keys[facet], "to_name": "text", "type": "choices", "value": {"choices": names}}
        for facet, names in chosen.items()
        if names
    ]


def page(taxonomy: Taxonomy) -> str:
    """The labelling configuration: the paragraph, and for each facet its labels with their definitions."""
    keys = {facet: key for key, facet in LISTS.items()}
    parts = ["<View>", '  <Header value="$doc"/>', '  <Text name="text" value="$text"/>']
    for facet in FACETS:
        parts.append(f"  <Header value={quoteattr(_TITLES[facet])}/>")
        parts.append(f'  <Choices name="{keys[facet]}" toName="text" choice="multiple" showInline="true">')
        for column in taxonomy.facet_columns(facet):
            label = taxonomy.labels[column]
            parts.append(
                f"    <Choice value={quoteattr(label.name_zh)} alias={quoteattr(label.id)} "
                f"hint={quoteattr(label.definition)}/>"
            )
        parts.append("  </Choices>")
    return "\n".join([*parts, "</View>"]) + "\n"
