"""The BentoML service: ``bentoml serve serving.service:PolicyTagService``. Thin; what it does lives elsewhere.

``POST`` routes are BentoML APIs, so that BentoML's client and its metrics know them. They are not ``batchable``: there
one bad request fails its neighbours, and the queue has no bound; `serving.scheduler` batches instead. The ``GET``
routes are `serving.routes`, mounted beside them. `serving.border.Border` stands before both. A worker reads
`serving.settings.Settings` when it starts.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from pathlib import Path
from typing import Any

import anyio.to_thread
import bentoml
from bentoml._internal.server.http import traffic
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from policytag.corrections import Corrections
from serving import uploads
from serving.answers import check_room, tag_paragraphs
from serving.bodies import Json
from serving.border import REQUEST_SECONDS, Border
from serving.correcting import keep
from serving.correction_schemas import CorrectionIn, CorrectionsRequest, CorrectionsResponse
from serving.document_schemas import (
    DocumentRequest,
    DocumentResponse,
    DocumentUpload,
    ExplainDocument,
    ParagraphsResponse,
    TextRequest,
    TextUpload,
)
from serving.documents import Documents
from serving.drain import drain_on_sigterm
from serving.errors import ApiError
from serving.health import Readiness
from serving.launch import check_settings, raise_open_files
from serving.models import Models
from serving.routes import routes
from serving.scheduler import Scheduler
from serving.schemas import (
    MAX_TABLE_CELLS,
    Columns,
    Explain,
    Paragraphs,
    Rows,
    Scores,
    TableRequest,
    TagRequest,
    TagResponse,
)
from serving.settings import Settings
from serving.supervisor import ask_until_stopped, tell_taken_port
from serving.tagging import tables

PLAIN = "text/plain; charset=utf-8"
SWITCH_SECONDS = 0.0005
"""How long an inference thread holds the interpreter while the event loop waits for it; a tenth of what is usual."""


@bentoml.asgi_app(routes, path="/")
@bentoml.service(
    name="policytag",
    workers=1,
    traffic={"timeout": REQUEST_SECONDS},
    tracing={"excluded_urls": ".*"},  # spans that nobody collects cost a tenth of a request
    http={"host": "127.0.0.1"},  # pyright: ignore[reportArgumentType]  # what it means is what IPv4Address is read from
)
class PolicyTagService:
    """Tags paragraphs of Chinese policy documents with policy instruments and industries."""

    def __init__(self) -> None:
        settings = Settings.from_environment()
        self.models = Models(settings.model, settings.threads)
        self.scheduler = Scheduler(lambda: self.models.current, settings.limits, settings.threads)
        self._documents = Documents(self.scheduler, settings.limits.seconds)
        self._corrections = Corrections(settings.corrections)
        self._ready = Readiness(self.models, self.scheduler)

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """Called in the process that starts the workers, before there are any: they would be started over and over."""
        check_settings(Path(PolicyTagService.working_dir))
        ask_until_stopped()
        tell_taken_port()

    @bentoml.on_startup
    async def start(self) -> None:
        """Called in the worker's event loop before it listens."""
        raise_open_files()
        sys.setswitchinterval(SWITCH_SECONDS)
        drain_on_sigterm()
        # Some 150,000 objects that stay: looking at them again would hold up every request for a tenth of a second.
        gc.collect()
        gc.freeze()
        # The inference threads employ the processors; a tokenizer's own threads would get in their way.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

    @bentoml.on_shutdown
    def close(self) -> None:
        """Called when all requests are answered."""
        self.models.close()
        self.scheduler.close()
        self._corrections.close()

    async def __is_ready__(self) -> bool:
        """Ready means: the model gives its recorded answers."""
        return await self._ready()

    # BentoML takes any pydantic model as an answer and says so nowhere but in its documentation.
    @bentoml.api(route="/v1/tag", input_spec=TagRequest, output_spec=TagResponse)  # pyright: ignore[reportArgumentType]
    async def tag(
        self,
        paragraphs: Paragraphs,
        scores: Scores = False,
        explain: Explain = False,
        thresholds: dict[str, float] | None = None,
    ) -> TagResponse | Response:
        """Tags 1 to 256 paragraphs, in order. A blank one gets an ``error``; the others are answered."""
        request = TagRequest.model_construct(
            paragraphs=paragraphs, scores=scores, explain=explain, thresholds=thresholds or {}
        )
        try:
            return await tag_paragraphs(self.scheduler, self.models.current, request)
        except ApiError as error:
            return error.response()

    @bentoml.api(route="/v1/tag-document", input_spec=DocumentRequest, output_spec=DocumentResponse)  # pyright: ignore[reportArgumentType]
    async def tag_document(
        self,
        text: str,
        name: str = "",
        scores: Scores = False,
        explain: ExplainDocument = False,
        thresholds: dict[str, float] | None = None,
        data: bytes | None = None,
        content_type: str = PLAIN,
    ) -> DocumentResponse | Response:
        """Tags a whole document: its text, or a file (``data``) in one of the formats that ``policytag tag`` reads."""
        request = DocumentRequest.model_construct(
            text=text, name=name, scores=scores, explain=explain, thresholds=thresholds or {}
        )
        body = text.encode() if data is None else data
        try:
            return await self._documents.tag(self.models.current, body, content_type, request)
        except ApiError as error:
            return error.response()

    @bentoml.api(route="/v1/paragraphs", input_spec=TextRequest, output_spec=ParagraphsResponse)  # pyright: ignore[reportArgumentType]
    async def paragraphs(
        self, text: str, name: str = "", data: bytes | None = None, content_type: str = PLAIN
    ) -> ParagraphsResponse | Response:
        """Cuts a text or a file into paragraphs, which ``/v1/tag`` can tag some at a time."""
        try:
            return await self._documents.read(text.encode() if data is None else data, name, content_type)
        except ApiError as error:
            return error.response()

    @bentoml.api(route="/v1/table", input_spec=TableRequest)  # pyright: ignore[reportArgumentType]
    async def table(self, columns: Columns, rows: Rows) -> Any:  # of a Response BentoML would want a schema
        """A table as an XLSX workbook, in which every text stays text: the page's download."""
        cells = (1 + len(rows)) * max(1, len(columns))
        if cells > MAX_TABLE_CELLS:
            message = f"rows: {cells} cells; expected at most {MAX_TABLE_CELLS}, send the table in parts"
            return ApiError(413, "table_too_large", message).response()
        file = io.BytesIO()
        records = (dict(zip(columns, row, strict=False)) for row in rows)
        await anyio.to_thread.run_sync(tables.write, "xlsx", file, columns, records)
        return Response(file.getvalue(), media_type=tables.XLSX)

    @bentoml.api(route="/v1/corrections", input_spec=CorrectionsRequest, output_spec=CorrectionsResponse)  # pyright: ignore[reportArgumentType]
    async def correct(self, corrections: list[CorrectionIn]) -> CorrectionsResponse | Response:
        """Keeps analysts' labels for paragraphs; what is sent again is kept once."""
        try:
            return await keep(self._corrections, self.models.current.taxonomy, corrections)
        except ApiError as error:
            return error.response()


class _Untimed(traffic.TimeoutMiddleware):
    """BentoML's keeps a timer for every request until the timeout, also when it is answered. The border has its own."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


traffic.TimeoutMiddleware = _Untimed


def _admit(size: int) -> None:
    check_room(bentoml.get_current_service().scheduler, size)


BODIES = {
    "/v1/tag": Json(TagRequest, _admit),
    "/v1/tag-document": uploads.Documents(DocumentRequest, DocumentUpload, ("scores", "explain")),
    "/v1/paragraphs": uploads.Documents(TextRequest, TextUpload),
    "/v1/corrections": Json(CorrectionsRequest),
    "/v1/table": Json(TableRequest),
}
PolicyTagService.add_asgi_middleware(Border, bodies=BODIES)  # pyright: ignore[reportArgumentType]  # its protocol describes an instance
