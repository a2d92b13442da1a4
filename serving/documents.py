"""A whole document to tagged paragraphs and a summary. Knows neither routes nor what is in a file of which format."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import anyio.to_thread
from anyio import CapacityLimiter

from policytag.errors import InputError
from policytag.readers import Limits, ParsedFile, parse_bytes
from policytag.tagger import Prediction, Tagger
from policytag.text import Paragraph
from serving.answers import check_labels, predict
from serving.document_schemas import DocumentResponse
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


class Documents:
    """Tags documents, a few at a time.

    Args:
        seconds: Deadline of one document, reading included.
    """

    def __init__(self, scheduler: Scheduler, seconds: float) -> None:
        self._scheduler = scheduler
        self._seconds = seconds
        self._open = 0
        self._parsers = CapacityLimiter(PARSING_AT_ONCE)

    async def tag(
        self, tagger: Tagger, data: bytes, name: str, media_type: str, *, scores: bool, thresholds: Mapping[str, float]
    ) -> DocumentResponse:
        """The answer of ``POST /v1/tag-document``, all of it by one model.

        Args:
            media_type: ``"text/html; charset=gbk"``; empty if the name's suffix tells the format.

        Raises:
            ApiError: 413 if it has too many paragraphs, 422 if it cannot be read or a threshold is for an unknown
                label, 429 if there is no place, 504 if it took too long, 500 if the model's answer is of no use.
        """
        check_labels(tagger.taxonomy, thresholds, "thresholds")
        if self._open >= MAX_DOCUMENTS:
            raise ApiError(
                429, "overloaded", "too many documents at once; try again in 5 s", headers={"retry-after": "5"}
            )
        self._open += 1
        try:
            async with asyncio.timeout(self._seconds):
                parsed = await self._parse(data, name, media_type)
                predictions = await self._predict(tagger, parsed.document.paragraphs, thresholds)
        except TimeoutError:
            message = f"not computed within {self._seconds:g} s; send less at once, or later"
            raise ApiError(504, "deadline_exceeded", message) from None
        finally:
            self._open -= 1
        return _answer(tagger, name, parsed, predictions, scores)

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
            message = f"{count} paragraphs; expected at most {MAX_DOCUMENT_PARAGRAPHS}. Split the document"
            raise ApiError(413, "too_many_paragraphs", message)
        return parsed

    async def _predict(
        self, tagger: Tagger, paragraphs: Sequence[Paragraph], thresholds: Mapping[str, float]
    ) -> dict[int, Prediction]:
        """Predictions by place in the document, of all that is not furniture."""
        wanted = [(i, paragraph) for i, paragraph in enumerate(paragraphs) if paragraph.kind != "furniture"]
        found: dict[int, Prediction] = {}
        while piece := wanted[len(found) : len(found) + _PIECE]:
            try:
                predictions = await predict(self._scheduler, tagger, [p for _, p in piece], thresholds)
            except ApiError as error:
                if error.status != 429 or not found:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)  # what is begun waits for its next place
                continue
            found |= dict(zip([i for i, _ in piece], predictions, strict=True))
        return found


def _answer(
    tagger: Tagger, name: str, parsed: ParsedFile, predictions: Mapping[int, Prediction], scores: bool
) -> DocumentResponse:
    taxonomy, document = tagger.taxonomy, parsed.document
    rows = [
        tagged_row(predictions[i], taxonomy, scores=scores)
        if i in predictions
        else furniture_row(paragraph, tagger.version)
        for i, paragraph in enumerate(document.paragraphs)
    ]
    return DocumentResponse.model_validate(
        {
            "model": {"version": tagger.version, "taxonomy": taxonomy.version},
            "document": {
                "name": name,
                "title": document.title if document.title != document.id else name,
                "format": parsed.format,
                "encoding": parsed.encoding,
            },
            "summary": _summary(tagger, rows),
            "paragraphs": [row | {"index": i} for i, row in enumerate(rows)],
            "rejected": [{"line": row.line, "reason": row.reason} for row in parsed.rejected],
        }
    )


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
