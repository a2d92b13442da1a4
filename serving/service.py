"""The BentoML service: ``bentoml serve serving.service:PolicyTagService``. Thin; what it does lives elsewhere.

``POST`` routes are BentoML APIs, so that BentoML's client and its metrics know them. They are not ``batchable``: there
one bad request fails its neighbours, and the queue has no bound. The ``GET`` routes are `serving.routes`, mounted
beside them. `serving.border.Border` stands before both. `serving.settings.Settings` are read when a worker starts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import bentoml
from starlette.responses import Response

from policytag import evidence
from policytag.errors import ArtifactError, TaxonomyError
from policytag.evidence import Span
from policytag.tagger import Prediction, Tagger
from policytag.text import Paragraph, is_blank
from serving.border import Border
from serving.errors import ApiError
from serving.routes import routes
from serving.rows import tags
from serving.schemas import (
    MAX_EXPLAINED,
    Explain,
    ItemError,
    ModelOut,
    ParagraphIn,
    Paragraphs,
    Result,
    Scores,
    TagRequest,
    TagResponse,
)
from serving.settings import Settings

logger = logging.getLogger(__name__)

BENTOML_SECONDS = 180
"""BentoML's own timeout, never reached: it keeps a timer for each request until then, and its 504 is not ours."""
_BLANK = ItemError(status=422, code="blank_text", message="text is blank; expected at least one readable character")


@bentoml.asgi_app(routes, path="/")
@bentoml.service(
    name="policytag",
    workers=1,
    traffic={"timeout": BENTOML_SECONDS},
    http={"host": "127.0.0.1"},  # pyright: ignore[reportArgumentType]  # what it means is what IPv4Address is read from
)
class PolicyTagService:
    """Tags paragraphs of Chinese policy documents with policy instruments and industries."""

    def __init__(self) -> None:
        settings = Settings.from_environment()
        self.tagger = Tagger.load(settings.model, threads=settings.threads)

    def __is_ready__(self) -> bool:
        """Ready means: the model gives its recorded answers."""
        try:
            self.tagger.verify()
        except ArtifactError as error:
            logger.error("not ready: %s", error)
            return False
        return True

    # BentoML takes any pydantic model as an answer and says so nowhere but in its documentation.
    @bentoml.api(route="/v1/tag", input_spec=TagRequest, output_spec=TagResponse)  # pyright: ignore[reportArgumentType]
    def tag(
        self,
        paragraphs: Paragraphs,
        scores: Scores = False,
        explain: Explain = False,
        thresholds: dict[str, float] | None = None,
    ) -> TagResponse | Response:
        """Tags 1 to 256 paragraphs, in order. A blank one gets an ``error``; the others are answered."""
        if explain and len(paragraphs) > MAX_EXPLAINED:
            message = f"paragraphs: expected at most {MAX_EXPLAINED} paragraphs a request with explain"
            return ApiError(413, "too_many_paragraphs", message).response()
        wanted = [Paragraph(str(i), "", i, p.text) for i, p in enumerate(paragraphs) if not is_blank(p.text)]
        try:
            logits, truncated = self.tagger.logits([paragraph.text for paragraph in wanted])
            predictions = self.tagger.predictions(wanted, logits, truncated, thresholds)
            spans = {p.paragraph.index: evidence.explain(self.tagger, p) for p in predictions if explain}
        except TaxonomyError as error:
            return ApiError(422, "invalid_field", f"thresholds: {error}").response()
        except ArtifactError:
            logger.exception("the model failed")
            return ApiError(
                500, "model_output_invalid", "the model gave no usable answer; see the server's log"
            ).response()
        found = {prediction.paragraph.index: prediction for prediction in predictions}
        results = [
            self._result(paragraph, found.get(i), scores, spans.get(i)) for i, paragraph in enumerate(paragraphs)
        ]
        return TagResponse(
            model=ModelOut(version=self.tagger.version, taxonomy=self.tagger.taxonomy.version), results=results
        )

    def _result(
        self,
        paragraph: ParagraphIn,
        prediction: Prediction | None,
        scores: bool,
        spans: Mapping[str, Sequence[Span]] | None,
    ) -> Result:
        if prediction is None:
            return Result(id=paragraph.id, error=_BLANK)
        found = {"id": paragraph.id, "truncated": prediction.truncated} | tags(prediction, self.tagger.taxonomy, spans)
        if scores:
            found["scores"] = {score.label_id: round(score.probability, 4) for score in prediction.scores}
        return Result.model_validate(found)


BODIES = {api.route: api.input_spec for api in PolicyTagService.apis.values()}
PolicyTagService.add_asgi_middleware(Border, bodies=BODIES)  # pyright: ignore[reportArgumentType]  # its protocol describes an instance
