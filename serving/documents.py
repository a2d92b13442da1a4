"""A whole document to paragraphs, tags and a summary. Knows neither routes nor what is in a file of which format."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

from policytag.errors import InputError
from policytag.evidence import Span
from policytag.readers import Limits, ParsedFile, parse_bytes
from policytag.tagger import Prediction, Tagger
from policytag.text import Paragraph
from serving.answers import check_labels, find_evidence, predict
from serving.document_schemas import (
    MAX_EXPLAINED_IN_DOCUMENT,
    DocumentRequest,
    DocumentResponse,
    ParagraphsResponse,
)
from serving.errors import ApiError
from serving.rows import FACET_KEYS, Row, furniture_row, tagged_row
from serving.scheduler import Scheduler
from serving.summary import DocumentSummary

MAX_DOCUMENT_PARAGRAPHS = 10_000
PARSING_AT_ONCE = 2
MAX_DOCUMENTS = 8
"""Documents in work at once, each of which may hold `serving.uploads.MAX_UPLOAD_BYTES`; more is refused as overload."""
READING = Limits(seconds=30)
_PIECE = 64
"""Paragraphs that take a place in the queue at once: a long document must not keep others out."""
_RETRY_SECONDS = 0.1

T = TypeVar("T")


class Documents:
    """Reads and tags documents, a few at a time.

    Args:
        seconds: Deadline of one document, reading included.
    """

    def __init__(self, scheduler: Scheduler, seconds: float) -> None:
        self._scheduler = scheduler
        self._seconds = seconds
        self._open = 0
        self._parsers = CapacityLimiter(PARSING_AT_ONCE)

    async def read(self, data: bytes, name: str, media_type: str) -> ParagraphsResponse:
        """The answer of ``POST /v1/paragraphs``.

        Args:
            media_type: ``"text/html; charset=gbk"``; empty if the name's suffix tells the format.

        Raises:
            ApiError: 413 if it has too many paragraphs, 422 if it cannot be read, 429 if there is no place, 504 if it
                took too long.
        """
        async with self._place():
            parsed = await self._parse(data, name, media_type)
        paragraphs = [
            {"index": i, "kind": p.kind, "headings": list(p.headings), "text": p.text}
            for i, p in enumerate(parsed.document.paragraphs)
        ]
        return ParagraphsResponse.model_validate(_about(name, parsed) | {"paragraphs": paragraphs})

    async def tag(self, tagger: Tagger, data: bytes, media_type: str, request: DocumentRequest) -> DocumentResponse:
        """The answer of ``POST /v1/tag-document``, all of it by one model.

        Args:
            data: The document, in the place of the request's text.
            media_type: As for `read`.

        Raises:
            ApiError: As `read`; 422 if a threshold is for an unknown label, 500 if the model's answer is of no use.
        """
        check_labels(tagger.taxonomy, request.thresholds, "thresholds")
        async with self._place():
            parsed = await self._parse(data, request.name, media_type)
            wanted = {i: p for i, p in enumerate(parsed.document.paragraphs) if p.kind != "furniture"}
            if request.explain and len(wanted) > MAX_EXPLAINED_IN_DOCUMENT:
                raise _too_many(len(wanted), f"{MAX_EXPLAINED_IN_DOCUMENT} with explain")
            predictions = await self._predict(tagger, wanted, request.thresholds)
            evidence = await self._explain(tagger, predictions) if request.explain else {}
        return _answer(tagger, request, parsed, predictions, evidence)

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """One of the places that documents have, until the deadline."""
        if self._open >= MAX_DOCUMENTS:
            raise ApiError(
                429, "overloaded", "too many documents at once; try again in 5 s", headers={"retry-after": "5"}
            )
        self._open += 1
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except TimeoutError:
            message = f"not computed within {self._seconds:g} s; send less at once, or later"
            raise ApiError(504, "deadline_exceeded", message) from None
        finally:
            self._open -= 1

    async def _parse(self, data: bytes, name: str, media_type: str) -> ParsedFile:
        # Under a name of our own: errors begin with it. The sender's suffix tells the format where the type does not.
        own = "document" if media_type else f"document{PurePosixPath(name).suffix[:16]}"
        read = partial(parse_bytes, data, own, media_type=media_type, limits=READING)
        try:
            parsed = await anyio.to_thread.run_sync(read, limiter=self._parsers)
        except InputError as error:
            raise ApiError(422, "unreadable_document", str(error).removeprefix(f"{own}: ")) from None
        count = len(parsed.document.paragraphs)
        if count > MAX_DOCUMENT_PARAGRAPHS:
            raise _too_many(count, str(MAX_DOCUMENT_PARAGRAPHS))
        return parsed

    async def _predict(
        self, tagger: Tagger, paragraphs: Mapping[int, Paragraph], thresholds: Mapping[str, float]
    ) -> dict[int, Prediction]:
        """Predictions by place in the document."""
        wanted = list(paragraphs.items())
        found: dict[int, Prediction] = {}
        while piece := wanted[len(found) : len(found) + _PIECE]:
            ask = partial(predict, self._scheduler, tagger, [p for _, p in piece], thresholds)
            predictions = await (_patiently(ask) if found else ask())
            found |= dict(zip([i for i, _ in piece], predictions, strict=True))
        return found

    async def _explain(
        self, tagger: Tagger, predictions: Mapping[int, Prediction]
    ) -> dict[int, Mapping[str, Sequence[Span]]]:
        """Evidence by place in the document."""
        found: dict[int, Mapping[str, Sequence[Span]]] = {}
        for i, prediction in predictions.items():
            [found[i]] = await _patiently(partial(find_evidence, self._scheduler, tagger, [prediction]))
        return found


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """What ``ask`` gives once the queue has a place: what is begun waits for it."""
    while True:
        try:
            return await ask()
        except ApiError as error:
            if error.status != 429:
                raise
        await asyncio.sleep(_RETRY_SECONDS)


def _too_many(count: int, most: str) -> ApiError:
    return ApiError(413, "too_many_paragraphs", f"{count} paragraphs; expected at most {most}. Split the document")


def _about(name: str, parsed: ParsedFile) -> dict[str, Any]:
    """What every answer says of the document that was read."""
    document = parsed.document
    about = {
        "name": name,
        "title": document.title if document.title != document.id else name,
        "format": parsed.format,
        "encoding": parsed.encoding,
    }
    return {"document": about, "rejected": [{"line": row.line, "reason": row.reason} for row in parsed.rejected]}


def _answer(
    tagger: Tagger,
    request: DocumentRequest,
    parsed: ParsedFile,
    predictions: Mapping[int, Prediction],
    evidence: Mapping[int, Mapping[str, Sequence[Span]]],
) -> DocumentResponse:
    taxonomy = tagger.taxonomy
    rows = [
        tagged_row(predictions[i], taxonomy, scores=request.scores, evidence=evidence.get(i))
        if i in predictions
        else furniture_row(paragraph, tagger.version)
        for i, paragraph in enumerate(parsed.document.paragraphs)
    ]
    answer = {
        "model": {"version": tagger.version, "taxonomy": taxonomy.version},
        "summary": _summary(tagger, rows),
        "paragraphs": [row | {"index": i} for i, row in enumerate(rows)],
    }
    return DocumentResponse.model_validate(answer | _about(request.name, parsed))


def _summary(tagger: Tagger, rows: Sequence[Row]) -> dict[str, Any]:
    summary = DocumentSummary("")
    for row in rows:
        summary.add(row)
    shares: dict[str, list[dict[str, Any]]] = {}
    for facet, key in FACET_KEYS.items():
        labels = [tagger.taxonomy.labels[column] for column in tagger.taxonomy.facet_columns(facet)]
        found = [
            {"id": i.id, "name": i.name_zh, "paragraphs": summary.paragraphs[i.id], "share": summary.share(i.id)}
            for i in labels
            if summary.paragraphs[i.id]
        ]
        shares[key] = sorted(found, key=lambda share: -share["share"])
    counts = {key: getattr(summary, key) for key in ("untagged", "furniture", "truncated", "chars")}
    return {"paragraphs": summary.tagged} | counts | shares
