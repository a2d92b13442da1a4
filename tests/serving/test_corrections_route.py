"""``POST /v1/corrections``: kept durably, once, and only if the labels make sense."""

from __future__ import annotations

import os
from typing import Any

import bentoml
import httpx
import pytest
from starlette.testclient import TestClient

from policytag.corrections import Corrections, StoreError


def correction(id_: str = "a", **fields: Any) -> dict[str, Any]:
    return {"id": id_, "text": "对企业给予补贴。", "instruments": ["subsidy"], "industries": []} | fields


def send(client: TestClient, *corrections: Any) -> Any:
    return client.post("/v1/corrections", json={"corrections": list(corrections)})


@pytest.fixture
def store(client: TestClient, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Corrections:
    """An empty store in the place of the service's own."""
    store = Corrections(f"sqlite:///{tmp_path / 'corrections.sqlite'}")
    monkeypatch.setattr(bentoml.get_current_service(), "_corrections", store)
    return store


def test_corrections_are_kept_and_read_back_as_annotations(client: TestClient, store: Corrections) -> None:
    full = correction(doc="通知.txt", annotator="an", model="m1", industries=["agriculture"])
    answer = send(client, full, correction("b", text="引进人才"))
    assert answer.json() == {"results": [{"id": "a", "created": True}, {"id": "b", "created": True}]}
    first, second = store.latest()
    assert first.annotation() == {
        "id": "correction:a",
        "doc": "通知.txt",
        "text": "对企业给予补贴。",
        "instruments": ["subsidy"],
        "industries": ["agriculture"],
        "annotator": "an",
    }
    assert (first.model, first.taxonomy, second.text) == ("m1", "1", "引进人才")


def test_sending_again_is_answered_alike_and_kept_once(client: TestClient, store: Corrections) -> None:
    assert send(client, correction()).json()["results"] == [{"id": "a", "created": True}]
    assert send(client, correction()).json()["results"] == [{"id": "a", "created": False}]
    assert len(list(store.latest())) == 1


def test_an_id_of_other_content_is_a_conflict_and_nothing_is_kept(client: TestClient, store: Corrections) -> None:
    send(client, correction())
    answer = send(client, correction("b", text="别的"), correction(instruments=[]))
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "id_taken"
    assert answer.json()["error"]["index"] == 1
    assert len(list(store.latest())) == 1


WRONG = [
    ({"instruments": ["subsidi"]}, "instruments: unknown label 'subsidi'; did you mean 'subsidy'?"),
    ({"instruments": ["agriculture"]}, "instruments: 'agriculture' is of the other facet"),
    ({"instruments": ["subsidy", "subsidy"]}, "instruments: a label occurs twice"),
    ({"instruments": None}, "instruments: expected a list"),
    ({"text": " \u200b"}, "text: blank"),
    ({"text": "a\x00b"}, "text: holds the character NUL"),
    ({"text": "补" * 65_537}, "text: too long"),
    ({"doc": 1}, "doc: expected a string"),
    ({"labels": []}, "labels: unknown field"),
]


@pytest.mark.parametrize(("fields", "message"), WRONG)
def test_what_makes_no_sense_is_named(
    client: TestClient, store: Corrections, fields: dict[str, Any], message: str
) -> None:
    answer = send(client, correction("ok"), correction("bad", **fields))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_field")
    assert answer.json()["error"]["message"].startswith(f"corrections[1].{message}")
    assert answer.json()["error"]["index"] == 1
    assert list(store.latest()) == []


def test_a_database_that_is_away_is_said_without_details(
    client: TestClient, store: Corrections, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Any) -> None:
        raise StoreError("postgresql://me:***@host/x: the corrections cannot be reached")

    monkeypatch.setattr(store, "add", away)
    answer = send(client, correction())
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
    assert "postgresql" not in answer.text
    assert answer.headers["retry-after"]


def test_a_real_server_keeps_them_in_the_file_that_is_set(server: str) -> None:
    answer = httpx.post(f"{server}/v1/corrections", json={"corrections": [correction("server")]})
    assert answer.status_code == 200
    assert [row.id for row in Corrections(os.environ["POLICYTAG_CORRECTIONS"]).latest()] == ["server"]
    with bentoml.SyncHTTPClient(server) as client:
        again = client.correct(corrections=[correction("server")])  # pyright: ignore[reportAttributeAccessIssue]
    assert again == {"results": [{"id": "server", "created": False}]}
