"""The one error envelope of the HTTP service. Knows neither routes nor models.

Every answer that is not a success is ``{"error": {"code", "message", "index"?}}``. Messages name the field and what was
expected, never the text that was sent.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError
from starlette.responses import Response

from serving.schemas import ErrorBody, ErrorEnvelope

STATUS_ERRORS = {
    400: ("bad_request", "the request cannot be read; see /docs"),
    401: ("unauthorized", "send a key: Authorization: Bearer KEY"),
    404: ("not_found", "no such route; see /docs"),
    405: ("method_not_allowed", "the route does not answer this method; see the Allow header and /docs"),
    408: ("body_timeout", "the body did not arrive in time; send it faster or less at once"),
    413: ("body_too_large", "the body is too large; send fewer or shorter paragraphs"),
    415: ("unsupported_media_type", "send Content-Type: application/json"),
    429: ("overloaded", "too many requests at once; try again later"),
    503: ("not_ready", "the model does not answer; see the server's log"),
    504: ("timeout", "the answer took too long; send fewer or shorter paragraphs"),
}
"""HTTP status -> code and message, for answers that come without an envelope."""

INTERNAL = ("internal_error", "the server failed; see its log")

_EXPECTED = {
    "missing": "is missing",
    "extra_forbidden": "unknown field; remove it",
    "string_type": "expected a string",
    "list_type": "expected a list",
    "model_type": "expected an object",
    "model_attributes_type": "expected an object",
    "string_too_short": "expected at least one character",
    "string_too_long": "too long",
    "string_pattern_mismatch": "holds the character NUL; leave it out",
    "bool_type": "expected true or false",
    "dict_type": "expected an object",
    "float_type": "expected a number",
    "finite_number": "expected a finite number",
}
_SHOWN_CHARS = 40


class ApiError(Exception):
    """A request that is answered with an error.

    Attributes:
        status: HTTP status.
        index: Which paragraph of the request it was, from 0.
        headers: HTTP headers that go with it, such as ``Retry-After``.
    """

    def __init__(
        self, status: int, code: str, message: str, index: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.body = ErrorBody(code=code, message=message, index=index)

    def response(self) -> Response:
        """The answer, envelope and all."""
        content = ErrorEnvelope(error=self.body).model_dump_json()
        return Response(content, self.status, self.headers, media_type="application/json")


def from_status(status: int) -> ApiError:
    """The error for an HTTP status that came without one."""
    code, message = STATUS_ERRORS.get(status, INTERNAL if status >= 500 else STATUS_ERRORS[400])
    return ApiError(status, code, message)


def from_validation(error: ValidationError) -> ApiError:
    """The first thing wrong with a request: 400 if it is no JSON or an empty list, 413 if a list too long, else 422.

    ``{"paragraphs": [{"id": 1, "text": "…"}]}`` -> 422 ``paragraphs[0].id: expected a string``.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    kind, where = first["type"], _path(first["loc"])
    if kind == "json_invalid":
        return ApiError(400, "invalid_json", str(first["msg"]))
    if kind in ("too_short", "too_long") and len(first["loc"]) == 1:
        return _wrong_length(kind, where, first.get("ctx", {}))
    index = next((step for step in first["loc"] if isinstance(step, int)), None)
    expected = _EXPECTED.get(kind, str(first["msg"]).removeprefix("Value error, "))
    return ApiError(422, "invalid_field", f"{where}: {expected}", index)


def _wrong_length(kind: str, what: str, context: Mapping[str, int]) -> ApiError:
    if kind == "too_short":
        return ApiError(400, f"no_{what}", f"{what}: empty; expected at least one")
    return ApiError(413, f"too_many_{what}", f"{what}: expected 1 to {context['max_length']} {what} a request")


def _path(loc: tuple[int | str, ...]) -> str:
    """``("paragraphs", 0, "id")`` -> ``"paragraphs[0].id"``."""
    path = ""
    for step in loc:
        path += f"[{step}]" if isinstance(step, int) else f".{shown(step)}"
    return path.removeprefix(".") or "body"


def shown(name: str) -> str:
    """A field's name, cut: it is the sender's and may be of any length."""
    return name if len(name) <= _SHOWN_CHARS else f"{name[:_SHOWN_CHARS]}…"
