"""What stands between the network and BentoML, as ASGI middleware. Knows neither the model nor what tags are.

BentoML has no limit on the body, reads any content type as JSON, logs a traceback for every bad request and answers
errors in several shapes. So requests are checked here before BentoML sees them, and whatever error comes back is put
into the one envelope.
"""

from __future__ import annotations

import json
import logging

from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import ApiError, from_status, from_validation
from serving.schemas import MAX_BODY_BYTES, TagRequest

logger = logging.getLogger(__name__)

BODIES: dict[str, type[BaseModel]] = {"/v1/tag": TagRequest}
"""Route -> what the JSON body of a ``POST`` must be."""


class Border:
    """Checks requests and shapes errors.

    Args:
        app: The application behind.
        max_body_bytes: Longest body that is read; chunked bodies are counted while they arrive.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send)
        try:
            expected = BODIES.get(scope["path"]) if scope["method"] == "POST" else None
            if expected:
                body = await self._checked_body(scope, receive, expected)
                if body is None:
                    return
                receive = _replay(body, receive)
            await self.app(scope, receive, answer.send)
        except ApiError as error:
            await error.response()(scope, receive, send)
        except Exception:
            logger.exception("request failed")
            if answer.started:
                raise
            await from_status(500).response()(scope, receive, send)

    async def _checked_body(self, scope: Scope, receive: Receive, expected: type[BaseModel]) -> bytes | None:
        """The whole body, or None if the client went away.

        Raises:
            ApiError: If it is not what the route takes.
        """
        headers = Headers(scope=scope)
        _check_media_type(headers)
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self.max_body_bytes:
            raise self._too_large()
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self.max_body_bytes:
                raise self._too_large()
            if not message.get("more_body", False):
                break
        try:
            expected.model_validate_json(bytes(body))
        except ValidationError as error:
            raise from_validation(error) from None
        return bytes(body)

    def _too_large(self) -> ApiError:
        return ApiError(413, "body_too_large", f"the body exceeds {self.max_body_bytes} bytes; send fewer paragraphs")


def _check_media_type(headers: Headers) -> None:
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    if media_type.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
        raise ApiError(415, "unsupported_media_type", "send Content-Type: application/json, encoded as UTF-8")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(415, "unsupported_encoding", "send the body without Content-Encoding")


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body once and then what the network says."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


class _Answer:
    """Passes an answer on; an error's body is held back and replaced unless it is an envelope already."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: Message | None = None
        self._body = b""
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if message["status"] >= 400:
                self._held = message
                return
            self.started = True
        if self._held is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if not message.get("more_body", False):
            await self._send_error(self._held)

    async def _send_error(self, start: Message) -> None:
        self.started = True
        if not _is_envelope(self._body):
            response = from_status(start["status"]).response()
            self._body = bytes(response.body)
            headers = MutableHeaders(raw=list(start["headers"]))
            headers["content-type"] = "application/json"
            headers["content-length"] = str(len(self._body))
            start = {**start, "headers": headers.raw}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": self._body})


def _is_envelope(body: bytes) -> bool:
    try:
        return "code" in json.loads(body)["error"]
    except (ValueError, TypeError, KeyError):
        return False
