"""What a route for documents takes beside JSON: a file, its type told by ``Content-Type`` or ``filename``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from starlette.datastructures import Headers, QueryParams

from policytag.readers.formats import MEDIA_TYPES, SUFFIXES
from serving.bodies import Json, is_json
from serving.document_schemas import TextRequest
from serving.errors import ApiError, shown
from serving.schemas import MAX_ID_CHARS, Body

MAX_UPLOAD_BYTES = 32 * 1024 * 1024
_GENERIC = ("", "application/octet-stream", "application/x-www-form-urlencoded")
"""Types that say nothing: what clients send of themselves. The file's name must tell."""


class Documents:
    """A body that is JSON, or a file.

    Args:
        expected: What the JSON must be.
        upload: The same, of a file: with ``data`` and ``content_type``.
        flags: Which of its fields that are true or false may stand in the query too.
    """

    def __init__(self, expected: type[TextRequest], upload: type[TextRequest], flags: Sequence[str] = ()) -> None:
        self._json = Json(expected)
        self._upload = upload
        self._flags = flags

    def limit(self, headers: Headers, query: QueryParams) -> int:
        _check_query(query, self._flags)
        if is_json(headers):
            return self._json.limit(headers, query)
        _check_type(headers, query)
        return MAX_UPLOAD_BYTES

    def read(self, body: bytes, headers: Headers, query: QueryParams) -> Body:
        name = PurePosixPath(query.get("filename", "").replace("\\", "/")).name
        flags = {flag: True for flag in self._flags if query.get(flag) == "true"}
        if is_json(headers):
            given = self._json.read(body, headers, query)
            assert isinstance(given, TextRequest)
            return given.model_copy(update=flags | {"name": given.name or name})
        content_type = headers.get("content-type", "") if _type(headers) in MEDIA_TYPES else ""
        file = {"text": "", "data": body, "content_type": content_type, "name": name}
        return self._upload.model_validate(file | flags)


def _type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _check_type(headers: Headers, query: QueryParams) -> None:
    if _type(headers) in MEDIA_TYPES:
        return
    if _type(headers) in _GENERIC and PurePosixPath(query.get("filename", "")).suffix.lower() in SUFFIXES:
        return
    known = " ".join(SUFFIXES)
    message = f"send application/json, or a file with its Content-Type, or with ?filename= ending in one of {known}"
    raise ApiError(415, "unsupported_media_type", message)


def _check_query(query: QueryParams, flags: Sequence[str]) -> None:
    for name in query:
        if name not in ("filename", *flags):
            raise ApiError(422, "invalid_field", f"{shown(name)}: unknown parameter; remove it")
        if len(query.getlist(name)) > 1:
            raise ApiError(422, "invalid_field", f"{name}: occurs twice; send it once")
    for flag in flags:
        if query.get(flag, "false") not in ("true", "false"):
            raise ApiError(422, "invalid_field", f"{flag}: expected true or false")
    if len(query.get("filename", "")) > MAX_ID_CHARS:
        raise ApiError(422, "invalid_field", f"filename: longer than {MAX_ID_CHARS} characters")
