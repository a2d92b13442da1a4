"""The BentoML service: ``bentoml serve serving.service:PolicyTagService``. Thin; what it does lives elsewhere.

``POST /v1/tag`` is a BentoML API, so that BentoML's client, its OpenAPI document and its metrics know it. It is
synchronous, so BentoML runs it in a worker thread and the event loop stays free for the probes. It is not
``batchable``: there one bad request fails its neighbours, and the queue has no bound. The ``GET`` routes, which
BentoML's APIs cannot be, are a small Starlette application mounted beside it. `serving.border.Border` stands before
both.

Reads ``POLICYTAG_MODEL`` (the model folder, ``models/current``) and ``POLICYTAG_THREADS`` (all processors it may use)
when a worker starts.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from policytag.artifact import DEFAULT_MODEL
from policytag.errors import ArtifactError
from policytag.tagger import Prediction, Tagger
from policytag.text import Paragraph, is_blank
from serving.border import Border
from serving.errors import ApiError
from serving.rows import dump, tags
from serving.schemas import ErrorBody, ModelOut, ParagraphIn, Paragraphs, Result, TagRequest, TagResponse

logger = logging.getLogger(__name__)

_BLANK = ErrorBody(code="blank_text", message="text is blank; expected at least one readable character")
# BentoML's own page at / loads a tracker from outside and advertises itself; this one shows the routes and no more.
_DOCS = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>policytag API</title>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'self' 'unsafe-inline'; img-src 'self' data:">
<link rel="stylesheet" href="static_content/swagger-ui.css"></head>
<body><div id="swagger-ui"></div><script src="static_content/swagger-ui-bundle.js"></script>
<script>
fetch("docs.json").then((answer) => answer.json()).then((spec) => {
  spec.info = {title: spec.info.title, version: spec.info.version};
  SwaggerUIBundle({spec, dom_id: "#swagger-ui"});
});
</script></body></html>
"""


async def taxonomy(_: Request) -> Response:
    """``GET /v1/taxonomy``: every label with its names, definition and crosswalk."""
    service = bentoml.get_current_service()
    assert isinstance(service, PolicyTagService.inner), "routes answer only while the service runs"
    return Response(dump(service.tagger.taxonomy.to_dict()), media_type="application/json")


async def docs(_: Request) -> Response:
    """``GET /docs``: the OpenAPI document, readable."""
    return HTMLResponse(_DOCS)


async def home(_: Request) -> Response:
    """``GET /``."""
    return RedirectResponse("docs")


routes = Starlette(routes=[Route("/v1/taxonomy", taxonomy), Route("/docs", docs), Route("/", home)])


@bentoml.asgi_app(routes, path="/")
@bentoml.service(name="policytag", workers=1, traffic={"timeout": 600})
class PolicyTagService:
    """Tags paragraphs of Chinese policy documents with policy instruments and industries."""

    def __init__(self) -> None:
        folder = Path(os.environ.get("POLICYTAG_MODEL") or DEFAULT_MODEL)
        self.tagger = Tagger.load(folder, threads=_threads())

    def __is_ready__(self) -> bool:
        """Ready means: the model gives its recorded answers."""
        try:
            self.tagger.verify()
        except ArtifactError as error:
            logger.error("not ready: %s", error)
            return False
        return True

    # BentoML takes any pydantic model here and says so nowhere but in its documentation.
    @bentoml.api(route="/v1/tag", input_spec=TagRequest, output_spec=TagResponse)  # pyright: ignore[reportArgumentType]
    def tag(self, paragraphs: Paragraphs) -> TagResponse | Response:
        """Tags 1 to 256 paragraphs, in order. A blank one gets an ``error``; the others are answered."""
        wanted = [Paragraph(str(i), "", i, p.text) for i, p in enumerate(paragraphs) if not is_blank(p.text)]
        try:
            found = {prediction.paragraph.index: prediction for prediction in self.tagger.tag(wanted)}
        except ArtifactError:
            logger.exception("the model failed")
            return ApiError(
                500, "model_output_invalid", "the model gave no usable answer; see the server's log"
            ).response()
        results = [self._result(paragraph, found.get(i)) for i, paragraph in enumerate(paragraphs)]
        return TagResponse(
            model=ModelOut(version=self.tagger.version, taxonomy=self.tagger.taxonomy.version), results=results
        )

    def _result(self, paragraph: ParagraphIn, prediction: Prediction | None) -> Result:
        if prediction is None:
            return Result(id=paragraph.id, error=_BLANK)
        return Result.model_validate(
            {"id": paragraph.id, "truncated": prediction.truncated} | tags(prediction, self.tagger.taxonomy)
        )


def _threads() -> int:
    """Threads of one inference: ``POLICYTAG_THREADS``, else the processors this process may use."""
    given = os.environ.get("POLICYTAG_THREADS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    if given:
        raise ArtifactError(f"POLICYTAG_THREADS: '{given}'; expected a whole number above 0")
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


PolicyTagService.add_asgi_middleware(Border)  # pyright: ignore[reportArgumentType]  # its protocol describes an instance
