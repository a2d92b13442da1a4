"""The OpenAPI document of the HTTP service, made of the schemas and of the taxonomy that answers.

BentoML makes one too, but knows neither our ``GET`` routes nor our errors. Every ``POST`` carries an example that runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from policytag import __version__
from policytag.readers.formats import MEDIA_TYPES
from policytag.taxonomy import Taxonomy
from serving.correction_schemas import CorrectionsRequest, CorrectionsResponse
from serving.document_schemas import DocumentRequest, DocumentResponse, ParagraphsResponse, TextRequest
from serving.rows import FACET_KEYS
from serving.schemas import (
    MAX_ID_CHARS,
    Body,
    ErrorEnvelope,
    ModelResponse,
    TableRequest,
    TagRequest,
    TagResponse,
    TaxonomyResponse,
)
from serving.tagging import tables

_REF = "#/components/schemas/{model}"
_Models = list[tuple[type[BaseModel], JsonSchemaMode]]
_TITLE = "policytag"
_ABOUT = "Tags paragraphs of Chinese policy documents with policy instruments and industries."
_REFUSALS = (400, 401, 408, 413, 415, 422, 429, 500, 503, 504)
"""How a ``POST`` may be refused."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A route.

    Attributes:
        answer: The schema of the JSON answer; None if it is something else, of the ``media_type``.
        request: The schema of the JSON body; None if there is none.
        errors: HTTP status of every error that it may answer with.
        files: Media types of files that it takes in the place of the JSON body.
        flags: Fields of the JSON body that the query may hold instead.
    """

    method: str
    path: str
    summary: str
    answer: type[BaseModel] | None = None
    request: type[Body] | None = None
    errors: tuple[int, ...] = (401, 500)
    files: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    media_type: str = "text/plain"


_FILENAME = {
    "name": "filename",
    "in": "query",
    "description": "What the document is called; its ending tells a file's format where Content-Type does not.",
    "schema": {"type": "string", "maxLength": MAX_ID_CHARS},
}
OPERATIONS = (
    Operation("post", "/v1/tag", "Tag 1 to 256 paragraphs, in order", TagResponse, TagRequest, _REFUSALS),
    Operation(
        "post",
        "/v1/tag-document",
        "Tag a whole document: its text as JSON, or a file as it is",
        DocumentResponse,
        DocumentRequest,
        _REFUSALS,
        files=tuple(MEDIA_TYPES),
        flags=("scores", "explain"),
    ),
    Operation(
        "post",
        "/v1/paragraphs",
        "Cut a text or a file into paragraphs, to tag them some at a time",
        ParagraphsResponse,
        TextRequest,
        _REFUSALS,
        files=tuple(MEDIA_TYPES),
    ),
    Operation(
        "post",
        "/v1/corrections",
        "Keep an analyst's labels for paragraphs, all or none",
        CorrectionsResponse,
        CorrectionsRequest,
        (*_REFUSALS, 409),
    ),
    Operation(
        "post",
        "/v1/table",
        "A table as an XLSX workbook",
        request=TableRequest,
        errors=_REFUSALS,
        media_type=tables.XLSX,
    ),
    Operation("get", "/v1/taxonomy", "Every label with its names and definition", TaxonomyResponse),
    Operation("get", "/v1/model", "The model that answers: version, data, metrics, thresholds", ModelResponse),
    Operation("get", "/livez", "Whether the process runs", errors=(500,)),
    Operation("get", "/readyz", "Whether the model gives its recorded answers", errors=(500, 503)),
    Operation("get", "/metrics", "Figures for Prometheus"),
)


def document(taxonomy: Taxonomy) -> dict[str, Any]:
    """The OpenAPI 3.1 document.

    Args:
        taxonomy: Its labels are the only ones that a request may name.
    """
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": _TITLE, "description": _ABOUT, "version": __version__},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(taxonomy),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    about: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": operation.path.strip("/").replace("/", "_").replace("-", "_"),
        "responses": {"200": _success(operation)} | {str(status): _failure(status) for status in operation.errors},
    }
    if operation.request:
        about["requestBody"] = {"required": True, "content": _content(operation.request, operation.files)}
    if operation.files:
        flags = [
            {"name": flag, "in": "query", "description": "As in JSON.", "schema": {"type": "boolean"}}
            for flag in operation.flags
        ]
        about["parameters"] = [_FILENAME, *flags]
    if 401 in operation.errors:
        about["security"] = [{}, {"key": []}]
    return about


def _content(request: type[Body], files: Sequence[str]) -> dict[str, Any]:
    file = {"schema": {"type": "string", "format": "binary"}}
    return {"application/json": {"schema": _ref(request), "example": request.example}} | dict.fromkeys(files, file)


def _success(operation: Operation) -> dict[str, Any]:
    if operation.answer:
        content: Mapping[str, Any] = {"application/json": {"schema": _ref(operation.answer)}}
    else:
        content = {operation.media_type: {}}
    return {"description": "Done", "content": content}


def _failure(status: int) -> dict[str, Any]:
    content = {"application/json": {"schema": _ref(ErrorEnvelope)}}
    failure: dict[str, Any] = {"description": HTTPStatus(status).phrase, "content": content}
    if status == 429:
        failure["headers"] = {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds to wait"}}
    return failure


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}


def _schemas(taxonomy: Taxonomy) -> dict[str, Any]:
    requests: _Models = [(o.request, "validation") for o in OPERATIONS if o.request]
    answers: _Models = [(o.answer, "serialization") for o in OPERATIONS if o.answer]
    _, found = models_json_schema([*requests, *answers, (ErrorEnvelope, "serialization")], ref_template=_REF)
    schemas = found["$defs"]
    for schema in schemas.values():
        _name_labels(schema.get("properties", {}), taxonomy)
    return schemas


def _name_labels(properties: dict[str, Any], taxonomy: Taxonomy) -> None:
    """Says of a mapping by label, and of lists of labels, which labels there are."""
    for facet, key in FACET_KEYS.items():
        if properties.get(key, {}).get("items", {}).get("type") == "string":
            labels = [taxonomy.labels[column].id for column in taxonomy.facet_columns(facet)]
            properties[key]["items"] = {"enum": labels}
    if "thresholds" in properties:
        mapping = properties["thresholds"]
        mapping["properties"] = dict.fromkeys(taxonomy.ids, mapping["additionalProperties"])
        mapping["additionalProperties"] = False
