"""Requests and responses of ``POST /v1/tag-document`` and ``POST /v1/paragraphs``."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field

from serving.schemas import MAX_ID_CHARS, Body, ModelOut, Scores, ScoresOut, TagOut, Thresholds

MAX_EXPLAINED_IN_DOCUMENT = 128
"""Paragraphs of a document with ``explain``; furniture does not count."""
ExplainDocument = Annotated[
    bool,
    Field(
        description=f"Whether each tag comes with its evidence; of at most {MAX_EXPLAINED_IN_DOCUMENT} paragraphs, for "
        "it takes some 17 times as long."
    ),
]


class TextRequest(Body):
    """The JSON body of ``POST /v1/paragraphs``; a file is sent as it is instead, see `serving.uploads`."""

    example: ClassVar = {"text": "一、资金支持\n对新认定的企业技术中心给予一次性奖励。", "name": "notice"}
    text: Annotated[str, Field(description="The whole text; lines end in LF, CR or CRLF.")]
    name: Annotated[str, Field(max_length=MAX_ID_CHARS, description="What the document is called.")] = ""


class DocumentRequest(TextRequest):
    """The JSON body of ``POST /v1/tag-document``."""

    scores: Scores = False
    explain: ExplainDocument = False
    thresholds: Thresholds = Field(default_factory=dict)


class TextUpload(TextRequest):
    """A file in the place of a `TextRequest`, as the border read it."""

    data: bytes
    content_type: str


class DocumentUpload(DocumentRequest):
    """A file in the place of a `DocumentRequest`."""

    data: bytes
    content_type: str


class DocumentOut(BaseModel):
    """What was read."""

    name: str
    title: str
    format: Annotated[str, Field(examples=["docx"])]
    encoding: str | None


class ReadParagraph(BaseModel):
    """A paragraph of a document; furniture (page widgets, metadata) is there, but never tagged."""

    index: int
    kind: Literal["heading", "body", "furniture"]
    headings: Annotated[list[str], Field(description="The headings above it, outermost first.")]
    text: str


class DocumentParagraph(ReadParagraph):
    """A paragraph with its tags."""

    instruments: list[TagOut]
    industries: list[TagOut]
    truncated: bool
    scores: ScoresOut = None


class Share(BaseModel):
    """How much of a document carries a label."""

    id: str
    name: str
    paragraphs: int
    share: Annotated[float, Field(ge=0, le=1, description="Of the characters of all that was tagged.")]


class Summary(BaseModel):
    """What the paragraphs' tags add up to."""

    paragraphs: Annotated[int, Field(description="Those that were tagged: headings and body.")]
    untagged: Annotated[int, Field(description="Those of them without any tag.")]
    furniture: int
    truncated: int
    chars: int
    instruments: Annotated[list[Share], Field(description="Largest share first.")]
    industries: list[Share]


class RejectedRow(BaseModel):
    """A row of a table that could not be read."""

    line: int | None
    reason: str


class ParagraphsResponse(BaseModel):
    """The answer of ``POST /v1/paragraphs``."""

    document: DocumentOut
    paragraphs: list[ReadParagraph]
    rejected: list[RejectedRow]


class DocumentResponse(BaseModel):
    """The answer of ``POST /v1/tag-document``."""

    model: ModelOut
    document: DocumentOut
    summary: Summary
    paragraphs: list[DocumentParagraph]
    rejected: list[RejectedRow]
