"""Requests and responses of the HTTP service, and their limits. The one place where pydantic describes the border.

Knows neither routes nor the model: whether a label exists is asked of the taxonomy that answers.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

import bentoml
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

MAX_PARAGRAPHS = 256
MAX_EXPLAINED = 16
"""Paragraphs a request with ``explain``: evidence costs some 17 times what tags do."""
MAX_TABLE_CELLS = 100_000
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_ID_CHARS = 256

STRICT = ConfigDict(extra="forbid", strict=True)
_OMITTED = Field(exclude_if=lambda value: value is None)
"""A field that is left out of the answer where there is nothing to say."""

BODY = "policytag.body"
"""Key of a request's ASGI state under which the border leaves the body it checked."""


class Body(bentoml.IODescriptor):
    """A request's body. BentoML takes it from the border, which read and checked it: it is parsed once."""

    model_config = STRICT
    example: ClassVar[dict[str, Any]] = {}

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Self:
        """The body that `serving.border` checked."""
        return request.scope["state"][BODY]


class Answer(bentoml.IODescriptor):
    """An answer that is written once and sent in one piece; BentoML would send it in three."""

    @classmethod
    async def to_http_response(cls, obj: Self, serde: Any) -> Response:
        """The answer as JSON."""
        return Response(obj.model_dump_json(), media_type="application/json")


Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS, description="Comes back with the answer.")]


class ParagraphIn(BaseModel):
    """A paragraph to tag."""

    model_config = STRICT
    id: Id
    text: Annotated[str, Field(description="One paragraph. What is beyond the model's limit is reported as truncated.")]


Paragraphs = Annotated[list[ParagraphIn], Field(min_length=1, max_length=MAX_PARAGRAPHS)]
Scores = Annotated[bool, Field(description="Whether every label's probability is answered, not only the tags'.")]
Explain = Annotated[
    bool, Field(description=f"Whether each tag comes with its evidence; at most {MAX_EXPLAINED} paragraphs then.")
]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Thresholds = Annotated[
    dict[str, Probability], Field(description="Label id -> threshold for this request, in the place of the model's.")
]


class TagRequest(Body):
    """The body of ``POST /v1/tag``."""

    example: ClassVar = {
        "paragraphs": [{"id": "a", "text": "对入驻孵化器的企业给予租金补贴。"}],
        "thresholds": {"subsidy": 0.8},
        "explain": True,
    }
    paragraphs: Paragraphs
    scores: Scores = False
    explain: Explain = False
    thresholds: Thresholds = Field(default_factory=dict)


class SpanOut(BaseModel):
    """Words that a tag rests on: deleting all spans of a tag takes it away, or nearly."""

    start: Annotated[int, Field(ge=0, description="First character in the text as it was sent, in code points from 0.")]
    end: Annotated[int, Field(ge=1, description="One beyond the last character.")]
    weight: Annotated[float, Field(ge=0, le=1, description="Share in the tag's evidence; they sum to 1.")]


ScoresOut = Annotated[dict[str, float] | None, _OMITTED, Field(description="Label id -> probability, where asked for.")]


class TagOut(BaseModel):
    """An assigned label."""

    id: Annotated[str, Field(examples=["subsidy"])]
    name: Annotated[str, Field(description="Chinese name.", examples=["资金补贴"])]
    score: Annotated[float, Field(ge=0, le=1, description="Calibrated probability.")]
    evidence: Annotated[
        list[SpanOut] | None, _OMITTED, Field(description="In the order of the text, where asked for.")
    ] = None


class ErrorBody(BaseModel):
    """What went wrong: a code for programs, a message for people, and which paragraph it was."""

    code: Annotated[str, Field(examples=["invalid_field"])]
    message: str
    index: Annotated[int | None, _OMITTED] = None


class ErrorEnvelope(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorBody


class ItemError(BaseModel):
    """Why one paragraph has no tags; the others are answered."""

    status: Annotated[int, Field(description="The HTTP status that this would be for a whole request.")]
    code: Annotated[str, Field(examples=["blank_text"])]
    message: str


class Result(BaseModel):
    """One paragraph's answer: its tags, most probable first, or the reason why there are none in ``error``."""

    id: str
    instruments: Annotated[list[TagOut] | None, _OMITTED] = None
    industries: Annotated[list[TagOut] | None, _OMITTED] = None
    truncated: Annotated[bool | None, _OMITTED] = None
    scores: ScoresOut = None
    error: Annotated[ItemError | None, _OMITTED] = None


class ModelOut(BaseModel):
    """Which model answered."""

    version: str
    taxonomy: str


class TagResponse(Answer):
    """The answer of ``POST /v1/tag``: one result a paragraph, in the order of the request."""

    model: ModelOut
    results: list[Result]


Cell = str | Annotated[int, Field(ge=-(2**53), le=2**53)]
Columns = Annotated[list[str], Field(description="The head.")]
Rows = Annotated[list[list[Cell]], Field(description="Cells in the order of the columns.")]


class TableRequest(Body):
    """The body of ``POST /v1/table``."""

    example: ClassVar = {"columns": ["序号", "段落"], "rows": [[1, "对入驻孵化器的企业给予租金补贴。"]]}
    columns: Columns
    rows: Rows


class LabelOut(BaseModel):
    """A label of the taxonomy."""

    id: str
    facet: str
    name_zh: str
    name_en: str
    definition: str
    crosswalk: dict[str, str]


class TaxonomyResponse(BaseModel):
    """The answer of ``GET /v1/taxonomy``."""

    version: str
    labels: list[LabelOut]


class ModelResponse(BaseModel):
    """The answer of ``GET /v1/model``: what the model folder says of itself."""

    version: str
    taxonomy: str
    encoder: str
    data: Annotated[dict[str, str], Field(description="Training file -> SHA-256.")]
    metrics: dict[str, float]
    temperature: float
    thresholds: Annotated[dict[str, float], Field(description="Label id -> threshold.")]
    recipe: Annotated[dict[str, int], Field(description="How a text becomes token windows.")]
    versions: Annotated[dict[str, str], Field(description="Library -> version, of those that made the model.")]
