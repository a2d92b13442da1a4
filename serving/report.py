"""A run as one HTML file that needs no network: counts, charts, every paragraph with its tags. Knows no model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from policytag.taxonomy import FACETS, Label, Taxonomy
from serving.rows import FACET_KEYS, Row
from serving.summary import DocumentSummary, RunSummary

MAX_PARAGRAPHS = 5_000
"""Paragraphs shown; the figures count all. A browser takes no more with pleasure."""
MAX_DOCUMENTS = 200
"""Documents shown in the charts."""
MAX_CHARS = 5_000
"""Characters shown of one paragraph."""

FACET_NAMES = dict(zip(FACETS, ("政策工具", "涉及行业"), strict=True))


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a stacked bar: a label and its paragraphs."""

    label: Label
    count: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A paragraph as the page shows it.

    Attributes:
        path: Its heading path where it differs from that of the paragraph before, else empty.
        cut: Whether only the beginning of the text is shown.
    """

    row: Row
    text: str
    path: tuple[str, ...]
    cut: bool


class Report:
    """Collects rows while they are written and renders them at the end.

    Args:
        taxonomy: Gives names, order and colours.
        summary: Must count the same rows.
    """

    def __init__(self, taxonomy: Taxonomy, summary: RunSummary) -> None:
        self._taxonomy = taxonomy
        self._summary = summary
        self._rows: defaultdict[str, list[Row]] = defaultdict(list)
        self._rejected: list[Row] = []
        self._kept = 0

    def add(self, row: Row) -> None:
        """Keeps a row for display, up to `MAX_PARAGRAPHS`."""
        if self._kept >= MAX_PARAGRAPHS:
            return
        self._kept += 1
        if row["status"] == "rejected":
            self._rejected.append(row)
        else:
            self._rows[row["doc"]].append(row)

    def render(self) -> Iterator[str]:
        """The page, in pieces."""
        environment = Environment(
            loader=PackageLoader("serving"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        total = self._summary.total
        documents = [d for d in self._summary.documents.values() if d.tagged or d.furniture]
        yield from environment.get_template("report.html.j2").generate(
            summary=self._summary,
            total=total,
            documents=documents[:MAX_DOCUMENTS],
            hidden_documents=max(len(documents) - MAX_DOCUMENTS, 0),
            hidden_rows=total.tagged + total.furniture + total.rejected - self._kept,
            facets=[(facet, FACET_NAMES[facet], self._labels(facet)) for facet in FACETS],
            facet_keys=list(FACET_KEYS.values()),
            styles=self._styles(),
            bars={facet: self._bars(facet, documents[:MAX_DOCUMENTS]) for facet in FACETS},
            warmest=max(self._summary.together.values(), default=1),
            shown=[(self._summary.documents[doc], list(_shown(rows))) for doc, rows in self._rows.items()],
            rejected=self._rejected,
        )

    def _labels(self, facet: str) -> list[Label]:
        return [self._taxonomy.labels[column] for column in self._taxonomy.facet_columns(facet)]

    def _styles(self) -> dict[str, str]:
        """Label id -> CSS variables: a colour ``--c`` and the ink ``--t`` to write on it.

        Hues go around the circle; neighbours are told apart by lightness too.
        """
        styles: dict[str, str] = {}
        for facet in FACETS:
            labels = self._labels(facet)
            for place, label in enumerate(labels):
                lightness, ink = ((36, "#fff"), (74, "#1f2933"))[place % 2]
                styles[label.id] = f"--c:hsl({360 * place // len(labels) + 15} 55% {lightness}%);--t:{ink}"
        return styles

    def _bars(self, facet: str, documents: list[DocumentSummary]) -> list[tuple[str, float, list[Segment]]]:
        """For each document: its name, its bar's length as a share of the longest, and the bar's segments."""
        counts = [[(label, d.paragraphs[label.id]) for label in self._labels(facet)] for d in documents]
        totals = [sum(count for _, count in row) for row in counts]
        longest = max(totals, default=0) or 1
        return [
            (d.doc, total / longest, [Segment(label, count) for label, count in row if count])
            for d, total, row in zip(documents, totals, counts, strict=True)
        ]


def _shown(rows: list[Row]) -> Iterator[Shown]:
    path: tuple[str, ...] = ()
    for row in rows:
        text = row.get("text", "")
        mine = tuple(row["headings"]) if row["kind"] == "body" else path
        yield Shown(row, text[:MAX_CHARS], mine if mine != path else (), len(text) > MAX_CHARS)
        path = mine
