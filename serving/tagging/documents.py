"""What a run adds up to by document, however many documents there are: what is not being counted is on disk."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator

from policytag.taxonomy import Taxonomy
from serving.rows import Row
from serving.summary import DocumentSummary
from serving.tagging.tables import Record

COLUMNS = ("doc", "paragraphs", "untagged", "furniture", "rejected", "truncated_paragraphs", "chars")


def columns(taxonomy: Taxonomy) -> list[str]:
    """The columns of a table of documents; ``share_subsidy`` is the share of the text in paragraphs tagged so."""
    return [*COLUMNS, *(f"share_{label}" for label in taxonomy.ids)]


def by_document(rows: Iterable[Row], taxonomy: Taxonomy) -> Iterator[Record]:
    """One record a document, in the order of their first rows. The rows of a document need not stand together."""
    database = sqlite3.connect("")  # a temporary file, removed by SQLite
    database.execute("CREATE TABLE documents (place INTEGER PRIMARY KEY, doc TEXT UNIQUE, counts TEXT)")
    current: DocumentSummary | None = None
    for row in rows:
        if current is None or current.doc != row["doc"]:
            if current is not None:
                _add(database, current)
            current = DocumentSummary(row["doc"])
        current.add(row)
    if current is not None:
        _add(database, current)
    for doc, counts in database.execute("SELECT doc, counts FROM documents ORDER BY place"):
        yield _record(_load(json.loads(doc), counts), taxonomy)
    database.close()


def _add(database: sqlite3.Connection, summary: DocumentSummary) -> None:
    key = json.dumps(summary.doc)  # a name need not be valid Unicode
    found = database.execute("SELECT counts FROM documents WHERE doc = ?", (key,)).fetchone()
    if found is None:
        database.execute("INSERT INTO documents (doc, counts) VALUES (?, ?)", (key, _dump(summary)))
        return
    before = _load(summary.doc, found[0])
    for name in ("tagged", "untagged", "furniture", "rejected", "truncated", "chars"):
        setattr(before, name, getattr(before, name) + getattr(summary, name))
    before.paragraphs.update(summary.paragraphs)
    before.label_chars.update(summary.label_chars)
    database.execute("UPDATE documents SET counts = ? WHERE doc = ?", (_dump(before), key))


def _dump(summary: DocumentSummary) -> str:
    numbers = [summary.tagged, summary.untagged, summary.furniture, summary.rejected, summary.truncated, summary.chars]
    return json.dumps([numbers, summary.paragraphs, summary.label_chars])


def _load(doc: str, counts: str) -> DocumentSummary:
    numbers, paragraphs, label_chars = json.loads(counts)
    return DocumentSummary(doc, *numbers, paragraphs=Counter(paragraphs), label_chars=Counter(label_chars))


def _record(summary: DocumentSummary, taxonomy: Taxonomy) -> Record:
    record: Record = {
        "doc": summary.doc,
        "paragraphs": summary.tagged,
        "untagged": summary.untagged,
        "furniture": summary.furniture,
        "rejected": summary.rejected,
        "truncated_paragraphs": summary.truncated,
        "chars": summary.chars,
    }
    return record | {f"share_{label}": round(summary.share(label), 4) for label in taxonomy.ids}
