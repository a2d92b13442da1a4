"""Bytes of a request's body to the thing they must be. Knows neither routes nor the network."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers, QueryParams

from serving.errors import ApiError, from_validation, shown
from serving.schemas import MAX_BODY_BYTES, Body

M = TypeVar("M", bound=BaseModel)

MAX_FIELDS = 256
"""Fields of one object; no object of any request has as many."""


class Kind(Protocol):
    """What the body of a route may be."""

    def limit(self, headers: Headers, query: QueryParams) -> int:
        """Bytes that are read of it, unpacked.

        Raises:
            ApiError: If no such body is taken, whatever it holds; it is not read then.
        """
        ...

    def read(self, body: bytes, headers: Headers, query: QueryParams) -> Body:
        """What it says.

        Raises:
            ApiError: If it is not what the route takes.
        """
        ...


class Json:
    """A JSON body.

    Args:
        expected: What it must be.
        admit: Asked, with the body's length, before it is read; raises `ApiError` to refuse it.
    """

    def __init__(self, expected: type[Body], admit: Callable[[int], None] | None = None) -> None:
        self.expected = expected
        self.admit = admit

    def limit(self, headers: Headers, query: QueryParams) -> int:
        if not is_json(headers):
            raise ApiError(415, "unsupported_media_type", "send Content-Type: application/json, encoded as UTF-8")
        if self.admit:
            length = headers.get("content-length", "")
            self.admit(int(length[:20]) if length.isdecimal() else 0)
        return MAX_BODY_BYTES

    def read(self, body: bytes, headers: Headers, query: QueryParams) -> Body:
        return parse(body, self.expected)


def is_json(headers: Headers) -> bool:
    """Whether a body says that it is JSON in UTF-8."""
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    return media_type.strip().lower() == "application/json" and charset in ("", "charset=utf-8")


def parse(body: bytes, expected: type[M]) -> M:
    """The JSON body of a request.

    Raises:
        ApiError: 400 with line and column if it is no JSON, else 422 naming the field (or as `from_validation` says).
    """
    _check_fields(body)
    try:
        return expected.model_validate_json(body)
    except ValidationError as error:
        raise from_validation(error) from None


def _check_fields(body: bytes) -> None:
    """Refuses what pydantic passes over: a field that occurs twice; or falls over: a million unknown fields."""
    try:
        # Numbers stay text here: Python needs the square of their length.
        json.loads(body.decode(), object_pairs_hook=_fields, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return  # no JSON: pydantic says where


def _fields(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > MAX_FIELDS:
        raise ApiError(422, "invalid_field", f"an object of {len(pairs)} fields; expected at most {MAX_FIELDS}")
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise ApiError(422, "invalid_field", f"{shown(name)}: occurs twice in one object; send it once")
        seen.add(name)


class Plain:
    """A body as it came, counted.

    Args:
        limit: Bytes of the body once it is decoded.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._body = bytearray()

    def add(self, chunk: bytes) -> None:
        """Takes a piece.

        Raises:
            ApiError: 413 if the body is longer than the limit.
        """
        self._body += chunk
        if len(self._body) > self.limit:
            raise too_large(self.limit)

    @property
    def size(self) -> int:
        """Bytes held so far."""
        return len(self._body)

    def finish(self) -> bytes:
        """The whole body."""
        return bytes(self._body)


class Gzipped(Plain):
    """A gzip-compressed body, unpacked no further than the limit: a bomb costs what an honest body costs."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    def add(self, chunk: bytes) -> None:
        try:
            super().add(self._unpack.decompress(chunk, self.limit + 1 - len(self._body)))
        except zlib.error:
            raise _bad_gzip() from None

    def finish(self) -> bytes:
        if not self._unpack.eof or self._unpack.unused_data:
            raise _bad_gzip()
        return super().finish()


def too_large(limit: int) -> ApiError:
    """The error for a body over the limit."""
    return ApiError(413, "body_too_large", f"the body exceeds {limit} bytes; send less at once")


def _bad_gzip() -> ApiError:
    return ApiError(400, "invalid_gzip", "the body is not one whole gzip stream, as Content-Encoding says it is")
