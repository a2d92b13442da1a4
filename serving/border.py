"""What stands between the network and BentoML, as ASGI middleware. Knows neither the model nor what tags are.

BentoML has no limit on the body, reads any content type as JSON, logs a traceback for every bad request, knows no
keys, goes on computing for clients that went away, and answers errors in several shapes. So requests are checked here
before BentoML sees them, and whatever error comes back is put into the one envelope.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.aside import aside
from serving.bodies import Gzipped, Kind, Plain, too_large
from serving.errors import ApiError, from_status
from serving.schemas import BODY
from serving.settings import Settings

logger = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/livez", "/readyz", "/healthz", "/", "/docs", "/docs.json"})
"""What needs no key: the probes, and the pages, which hold no data."""
OPEN_FOLDERS = ("/static_content/", "/web/")
"""What the pages are made of."""
BODY_SECONDS = 60
"""A body that has not arrived whole by then is refused."""
REQUEST_SECONDS = 300
"""An answer that has not begun by then is given up; never reached, for what may take long has limits of its own."""
MAX_BUFFERED_BYTES = 128 * 1024 * 1024
"""Bodies of all requests together that are held at once; more is refused as overload."""


class Border:
    """Checks requests and shapes errors.

    Args:
        app: The application behind.
        bodies: Route -> what the body of a ``POST`` may be.

    Reads ``POLICYTAG_API_KEYS`` when the application is built: the keys of which a request must show one, if any.
    """

    def __init__(self, app: ASGIApp, bodies: Mapping[str, Kind]) -> None:
        self.app = app
        self.bodies = bodies
        self.keys = [_digest(key) for key in Settings.from_environment().api_keys]
        self._buffered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send)
        try:
            await self._answer(scope, receive, answer)
        except ApiError as error:
            await error.response()(scope, receive, send)
        except Exception:
            logger.exception("request failed")
            if answer.started:
                raise
            await from_status(500).response()(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        self._check_key(scope)
        kind = self.bodies.get(scope["path"]) if scope["method"] == "POST" else None
        if not kind:
            await self.app(scope, receive, answer.send)
            return
        headers, query = Headers(scope=scope), QueryParams(scope["query_string"])
        body = await self._read(headers, receive, kind.limit(headers, query))
        scope.setdefault("state", {})[BODY] = await aside(len(body), kind.read, body, headers, query)
        await _while_connected(self.app, scope, receive, answer)

    def _check_key(self, scope: Scope) -> None:
        if not self.keys or _is_open(scope["path"]):
            return
        kind, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        # All keys are compared, each in constant time: the time tells neither which was near nor how near.
        matches = [hmac.compare_digest(_digest(key), known) for known in self.keys]
        if kind.lower() != "bearer" or not any(matches):
            code, message = "unauthorized", "send a key that the server knows: Authorization: Bearer KEY"
            raise ApiError(401, code, message, headers={"www-authenticate": "Bearer"})

    async def _read(self, headers: Headers, receive: Receive, limit: int) -> bytes:
        """The whole body; chunked and compressed ones are counted while they arrive.

        Raises:
            ApiError: If it is longer than ``limit``, late, or not compressed as it says.
        """
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > limit:
            raise too_large(limit)
        body = _unpacking(headers)(limit)
        held = 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _gone()
                    before = body.size
                    body.add(message.get("body", b""))
                    held += body.size - before
                    self._buffered += body.size - before
                    if self._buffered > MAX_BUFFERED_BYTES:
                        raise ApiError(*_OVERLOADED, headers={"retry-after": "1"})
                    more = message.get("more_body", False)
        except TimeoutError:
            raise from_status(408) from None
        finally:
            self._buffered -= held
        return body.finish()


_OVERLOADED = (429, "overloaded", "the server is receiving too much at once; try again later")


def _gone() -> ApiError:
    """The client went away. Nobody gets this answer; the metrics do, and BentoML waits until there is one."""
    return ApiError(499, "client_closed_request", "the client went away before it was answered")


def _digest(key: str) -> bytes:
    """Keys are compared by digest, so that their lengths do not show either."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


def _unpacking(headers: Headers) -> type[Plain]:
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise ApiError(415, "unsupported_encoding", "send the body as it is, or with Content-Encoding: gzip")
    return Gzipped if encoding == "gzip" else Plain


async def _while_connected(app: ASGIApp, scope: Scope, receive: Receive, answer: _Answer) -> None:
    """Runs ``app``, whose body is read already, and stops it if the client goes away: what it asked for is dropped.

    Raises:
        ApiError: 499 if it was stopped, 504 if it took longer than `REQUEST_SECONDS`.
    """
    body: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]
    watching = asyncio.ensure_future(receive())  # the body is read: what comes now is the end of the connection

    async def replay() -> Message:
        return body.pop() if body else await asyncio.shield(watching)

    answering = asyncio.ensure_future(app(scope, replay, answer.send))
    try:
        await asyncio.wait({answering, watching}, timeout=REQUEST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done() and not answer.started:
            raise _gone() if watching.done() else from_status(504)
        await answering
    finally:
        watching.cancel()
        answering.cancel()


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
