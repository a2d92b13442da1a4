"""The border with an application behind it that only waits: clients that leave, bodies that do not come."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from serving import border
from serving.bodies import Json
from serving.border import Border
from serving.schemas import TagRequest

BODY = json.dumps({"paragraphs": [{"id": "a", "text": "补贴"}]}).encode()


class Waiting:
    """An application that answers nothing until it is stopped."""

    def __init__(self) -> None:
        self.started = self.stopped = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.started = True
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.stopped = True
            raise


def ask(app: Waiting, receive: Callable[[], Any]) -> dict[str, Any]:
    """What the border answers: status and error."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/tag", "headers": headers, "query_string": b""}

    async def run() -> None:
        await asyncio.wait_for(Border(app, {"/v1/tag": Json(TagRequest)})(scope, receive, send), 20)
        await asyncio.sleep(0)

    asyncio.run(run())
    return {"status": sent[0]["status"], **json.loads(sent[1]["body"])["error"]}


def arriving(*messages: dict[str, Any]) -> Callable[[], Any]:
    rest = list(messages)

    async def receive() -> dict[str, Any]:
        if rest:
            return rest.pop(0)
        await asyncio.sleep(60)
        raise AssertionError

    return receive


def test_a_client_that_leaves_stops_what_it_asked_for() -> None:
    app = Waiting()
    answer = ask(app, arriving({"type": "http.request", "body": BODY}, {"type": "http.disconnect"}))
    assert (answer["status"], answer["code"]) == (499, "client_closed_request")
    assert (app.started, app.stopped) == (True, True)


def test_a_client_that_leaves_within_its_body_starts_nothing() -> None:
    app = Waiting()
    part = {"type": "http.request", "body": BODY[:9], "more_body": True}
    assert ask(app, arriving(part, {"type": "http.disconnect"}))["status"] == 499
    assert not app.started


def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(border, "BODY_SECONDS", 0.1)
    app = Waiting()
    answer = ask(app, arriving({"type": "http.request", "body": BODY[:9], "more_body": True}))
    assert (answer["status"], answer["code"]) == (408, "body_timeout")
    assert not app.started


def test_an_answer_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(border, "REQUEST_SECONDS", 0.1)
    app = Waiting()
    answer = ask(app, arriving({"type": "http.request", "body": BODY}))
    assert (answer["status"], answer["code"]) == (504, "timeout")
    assert app.stopped


def test_bodies_of_all_requests_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(border, "MAX_BUFFERED_BYTES", len(BODY) - 1)
    answer = ask(Waiting(), arriving({"type": "http.request", "body": BODY}))
    assert (answer["status"], answer["code"]) == (429, "overloaded")
