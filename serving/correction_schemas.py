"""Request and response of ``POST /v1/corrections``, and their limits."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from policytag.text import is_blank
from serving.schemas import MAX_ID_CHARS, MAX_PARAGRAPHS, STRICT, Body

MAX_CORRECTED_CHARS = 65_536
"""Characters of a corrected paragraph: training reads no longer ones."""


def _readable(text: str) -> str:
    if is_blank(text):
        raise ValueError("blank; expected at least one readable character")
    return text


Stored = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
"""A text that a database takes: PostgreSQL has no NUL."""
Name = Annotated[Stored, Field(max_length=MAX_ID_CHARS)]
Labels = Annotated[
    list[str],
    Field(max_length=64, json_schema_extra={"uniqueItems": True}, description="Label ids; [] if none applies."),
]


class CorrectionIn(BaseModel):
    """An analyst's labels for a paragraph."""

    model_config = STRICT
    id: Annotated[Name, Field(min_length=1, description="Unique; sending it again changes nothing.")]
    text: Annotated[Stored, Field(min_length=1, max_length=MAX_CORRECTED_CHARS), AfterValidator(_readable)]
    instruments: Labels
    industries: Labels
    doc: Annotated[Name, Field(description="The document it is from.")] = ""
    annotator: Annotated[Name, Field(description="Who says so.")] = ""
    model: Annotated[Name, Field(description="Version of the model that was corrected.")] = ""


class CorrectionsRequest(Body):
    """The body of ``POST /v1/corrections``: kept all or none."""

    example: ClassVar = {
        "corrections": [
            {
                "id": "7b1c2f0e-1",
                "doc": "001.txt",
                "text": "对入驻孵化器的企业给予租金补贴。",
                "instruments": ["subsidy", "platform"],
                "industries": [],
            }
        ]
    }
    corrections: Annotated[list[CorrectionIn], Field(min_length=1, max_length=MAX_PARAGRAPHS)]


class CorrectionOut(BaseModel):
    """A correction that is kept."""

    id: str
    created: Annotated[bool, Field(description="False if it was there already.")]


class CorrectionsResponse(BaseModel):
    """The answer of ``POST /v1/corrections``; when it comes, they are on disk."""

    results: list[CorrectionOut]
