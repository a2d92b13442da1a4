"""Requests and responses of the HTTP service, and their limits. The one place where pydantic describes the border."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MAX_PARAGRAPHS = 256
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_ID_CHARS = 256

_STRICT = ConfigDict(extra="forbid", strict=True)


class ParagraphIn(BaseModel):
    """A paragraph to tag."""

    model_config = _STRICT
    id: Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS, description="Comes back with the answer.")]
    text: Annotated[str, Field(description="One paragraph. What is beyond the model's limit is reported as truncated.")]


Paragraphs = Annotated[list[ParagraphIn], Field(min_length=1, max_length=MAX_PARAGRAPHS)]


class TagRequest(BaseModel):
    """The body of ``POST /v1/tag``."""

    model_config = _STRICT | ConfigDict(
        json_schema_extra={"example": {"paragraphs": [{"id": "a", "text": "对入驻孵化器的企业给予租金补贴。"}]}}
    )
    paragraphs: Paragraphs


class TagOut(BaseModel):
    """An assigned label."""

    id: Annotated[str, Field(examples=["subsidy"])]
    name: Annotated[str, Field(description="Chinese name.", examples=["资金补贴"])]
    score: Annotated[float, Field(ge=0, le=1, description="Calibrated probability.")]


class ErrorBody(BaseModel):
    """What went wrong: a code for programs, a message for people, and which paragraph it was."""

    code: Annotated[str, Field(examples=["blank_text"])]
    message: str
    index: Annotated[int | None, Field(exclude_if=lambda value: value is None)] = None


class ErrorEnvelope(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorBody


class Result(BaseModel):
    """One paragraph's answer: its tags, most probable first, or the reason why there are none in ``error``."""

    id: str
    instruments: Annotated[list[TagOut] | None, Field(exclude_if=lambda value: value is None)] = None
    industries: Annotated[list[TagOut] | None, Field(exclude_if=lambda value: value is None)] = None
    truncated: Annotated[bool | None, Field(exclude_if=lambda value: value is None)] = None
    error: Annotated[ErrorBody | None, Field(exclude_if=lambda value: value is None)] = None


class ModelOut(BaseModel):
    """Which model answered."""

    version: str
    taxonomy: str


class TagResponse(BaseModel):
    """The answer of ``POST /v1/tag``: one result a paragraph, in the order of the request."""

    model: ModelOut
    results: list[Result]
