"""The service class called as a plain object: no HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from starlette.responses import Response

from policytag.errors import ArtifactError, InputError
from serving.schemas import ParagraphIn
from serving.service import PolicyTagService


@pytest.fixture(scope="module")
def service() -> Iterator[Any]:
    service = PolicyTagService()
    yield service
    service.close()


def test_results_come_in_the_order_of_the_request(service: Any) -> None:
    paragraphs = [ParagraphIn(id=i, text=t) for i, t in (("b", "引进人才"), ("a", "软件补贴"), ("b", "无"))]
    answer = asyncio.run(service.tag(paragraphs=paragraphs))
    assert [result.id for result in answer.results] == ["b", "a", "b"]
    assert [[t.id for t in r.instruments] for r in answer.results] == [["talent"], ["subsidy"], []]
    assert [t.name for t in answer.results[1].industries] == ["信息技术"]
    assert answer.model.taxonomy == "1"


def test_a_blank_text_gets_an_error_and_its_neighbours_an_answer(service: Any) -> None:
    paragraphs = [
        ParagraphIn(id="a", text="补贴"),
        ParagraphIn(id="b", text="\u200b \x00"),
        ParagraphIn(id="c", text="才"),
    ]
    first, blank, last = asyncio.run(service.tag(paragraphs=paragraphs)).results
    assert blank.model_dump() == {
        "id": "b",
        "error": {
            "status": 422,
            "code": "blank_text",
            "message": "text is blank; expected at least one readable character",
        },
    }
    assert (first.instruments[0].id, last.instruments[0].id) == ("subsidy", "talent")


def test_numbers_that_are_not_finite_are_never_tags(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        service.models.current.engine, "run", lambda windows: np.full((len(windows), 18), np.nan, np.float32)
    )
    answer = asyncio.run(service.tag(paragraphs=[ParagraphIn(id="a", text="补贴")]))
    assert isinstance(answer, Response)
    assert answer.status_code == 500
    assert b'"code":"model_output_invalid"' in answer.body
    assert asyncio.run(service.__is_ready__()) is False


def test_the_model_folder_is_checked_when_the_service_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLICYTAG_MODEL", "no/such/folder")
    with pytest.raises(ArtifactError, match="no/such/folder: no such model folder"):
        PolicyTagService()


def test_a_bad_number_of_threads_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLICYTAG_THREADS", "many")
    with pytest.raises(InputError, match="POLICYTAG_THREADS: 'many'; expected a whole number, 1 to"):
        PolicyTagService()
