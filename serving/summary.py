"""What a run's rows add up to, by document and over all. Knows neither files, models nor how it is shown."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from serving.rows import FACET_KEYS, Row


@dataclass(slots=True)
class DocumentSummary:
    """One document.

    Attributes:
        tagged: Paragraphs that went through the model.
        untagged: Those of them without any tag.
        chars: Their characters; 0 where the rows carry no text.
        paragraphs: Label id -> paragraphs that carry it.
        label_chars: Label id -> characters of these paragraphs.
    """

    doc: str
    tagged: int = 0
    untagged: int = 0
    furniture: int = 0
    rejected: int = 0
    truncated: int = 0
    chars: int = 0
    paragraphs: Counter[str] = field(default_factory=Counter)
    label_chars: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row) -> None:
        if row["status"] != "ok":
            self.furniture += row["status"] == "furniture"
            self.rejected += row["status"] == "rejected"
            return
        chars = len(row.get("text", ""))
        labels = [tag["id"] for key in FACET_KEYS.values() for tag in row[key]]
        self.tagged += 1
        self.untagged += not labels
        self.truncated += bool(row["truncated"])
        self.chars += chars
        self.paragraphs.update(labels)
        for label in labels:
            self.label_chars[label] += chars

    def share(self, label_id: str) -> float:
        """The share of the text, 0 to 1, in paragraphs with this tag; where rows carry no text, of the paragraphs."""
        if self.chars:
            return self.label_chars[label_id] / self.chars
        return self.paragraphs[label_id] / self.tagged if self.tagged else 0.0


MAX_DOCUMENTS = 10_000
"""Documents whose figures are kept in memory; those of further ones go into the totals alone."""


@dataclass(slots=True)
class RunSummary:
    """The documents of a run, in order of appearance, the first `MAX_DOCUMENTS` of them.

    Attributes:
        document_count: All of them; of those beyond, one that comes back after another counts again.
        names: Label id -> Chinese name, of the labels that occurred.
        together: (instrument id, industry id) -> paragraphs that carry both.
    """

    documents: dict[str, DocumentSummary] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    together: Counter[tuple[str, str]] = field(default_factory=Counter)
    total: DocumentSummary = field(default_factory=lambda: DocumentSummary(""))
    model: str = ""
    document_count: int = 0
    _last: str | None = None

    def add(self, row: Row) -> None:
        """Counts one row."""
        doc = row["doc"]
        if doc not in self.documents:
            if doc != self._last:
                self.document_count += 1
            if len(self.documents) < MAX_DOCUMENTS:
                self.documents[doc] = DocumentSummary(doc)
        self._last = doc
        if doc in self.documents:
            self.documents[doc].add(row)
        self.total.add(row)
        if row["status"] != "ok":
            return
        self.model = row["model"]
        self.names.update((tag["id"], tag["name"]) for key in FACET_KEYS.values() for tag in row[key])
        self.together.update((i["id"], j["id"]) for i in row["instruments"] for j in row["industries"])
