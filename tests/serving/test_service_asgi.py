"""The service through ASGI: routes, answers and the one error envelope."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import bentoml
import pytest
from openpyxl import load_workbook
from starlette.testclient import TestClient

from policytag.errors import ArtifactError
from serving.health import FRESH_SECONDS
from serving.scheduler import QueueFullError
from serving.schemas import MAX_BODY_BYTES

JSON = {"content-type": "application/json"}


def tag(client: TestClient, *texts: Any) -> Any:
    return client.post("/v1/tag", json={"paragraphs": [{"id": str(i), "text": t} for i, t in enumerate(texts)]})


def test_paragraphs_are_tagged_and_chinese_is_not_escaped(client: TestClient) -> None:
    answer = tag(client, "对软件企业给予补贴，引进人才。", "")
    assert answer.status_code == 200
    assert "资金补贴".encode() in answer.content
    assert list(answer.json()) == ["model", "results"]
    assert answer.json()["results"] == [
        {
            "id": "0",
            "instruments": [
                {"id": "talent", "name": "人才引进", "score": 0.9569},
                {"id": "subsidy", "name": "资金补贴", "score": 0.9526},
            ],
            "industries": [{"id": "information_technology", "name": "信息技术", "score": 0.9734}],
            "truncated": False,
        },
        {
            "id": "1",
            "error": {
                "status": 422,
                "code": "blank_text",
                "message": "text is blank; expected at least one readable character",
            },
        },
    ]


def test_a_request_that_is_answered_leaves_no_timer_behind(client: TestClient) -> None:
    """They would be kept for minutes: tens of megabytes on a busy server."""

    async def timers() -> int:
        return sum(not timer.cancelled() for timer in asyncio.get_running_loop()._scheduled)  # pyright: ignore[reportAttributeAccessIssue]

    assert client.portal
    before = client.portal.call(timers)
    for _ in range(20):
        assert tag(client, "补贴").status_code == 200
    assert client.portal.call(timers) < before + 20


def test_256_paragraphs_are_answered_in_order_and_257_are_not(client: TestClient) -> None:
    answer = tag(client, *["补贴", "人才"] * 128)
    assert [r["instruments"][0]["id"] for r in answer.json()["results"]] == ["subsidy", "talent"] * 128
    error(
        tag(client, *["补贴"] * 257), 413, "too_many_paragraphs", "paragraphs: expected 1 to 256 paragraphs a request"
    )


@pytest.mark.parametrize("text", ["\x00补贴", "补😀", "𠮷补", "<script>补</script>", "補助", "ＡＩ补", "ابج"])
def test_odd_but_readable_text_is_answered(client: TestClient, text: str) -> None:
    assert tag(client, text).status_code == 200


def error(answer: Any, status: int, code: str, message: str = "", index: int | None = None) -> None:
    """Asserts the envelope, whole."""
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert (answer.status_code, body["error"]["code"]) == (status, code)
    assert message in body["error"]["message"]
    assert list(body) == ["error"]
    assert body["error"].get("index") == index
    assert "Traceback" not in answer.text


PARAGRAPHS_422 = [
    ('[{"id": 1, "text": "x"}]', "paragraphs[0].id: expected a string", 0),
    ('[{"id": "", "text": "x"}]', "paragraphs[0].id: expected at least one character", 0),
    ('[{"id": "a", "text": "x"}, {"id": "b"}]', "paragraphs[1].text: is missing", 1),
    ('[{"id": "a", "text": null}]', "paragraphs[0].text: expected a string", 0),
    ('[{"id": "a", "text": NaN}]', "paragraphs[0].text: expected a string", 0),
    ('[{"id": "a", "text": "x", "txt": 1}]', "paragraphs[0].txt: unknown field; remove it", 0),
    ('[{"id": "a", "text": "x", "text": "y"}]', "text: occurs twice in one object", None),
    ('["x"]', "paragraphs[0]: expected an object", 0),
    ('{"id": "a"}', "paragraphs: expected a list", None),
]


@pytest.mark.parametrize(("paragraphs", "message", "index"), PARAGRAPHS_422)
def test_a_wrong_field_is_named(client: TestClient, paragraphs: str, message: str, index: int | None) -> None:
    answer = client.post("/v1/tag", content=f'{{"paragraphs": {paragraphs}}}', headers=JSON)
    error(answer, 422, "invalid_field", message, index)


def test_unknown_and_missing_top_level_fields_are_named(client: TestClient) -> None:
    error(client.post("/v1/tag", json={}), 422, "invalid_field", "paragraphs: is missing")
    both = {"paragraphs": [{"id": "a", "text": "x"}], "explian": True}
    error(client.post("/v1/tag", json=both), 422, "invalid_field", "explian: unknown field")


OPTIONS_422 = [
    ('"scores": null', "scores: expected true or false"),
    ('"scores": 1', "scores: expected true or false"),
    ('"explain": "yes"', "explain: expected true or false"),
    ('"thresholds": null', "thresholds: expected an object"),
    ('"thresholds": {"subsidy": NaN}', "thresholds.subsidy: expected a finite number"),
    ('"thresholds": {"subsidy": 1e999}', "thresholds.subsidy: expected a finite number"),
    ('"thresholds": {"subsidy": "0.5"}', "thresholds.subsidy: expected a number"),
    ('"thresholds": {"subsidy": true}', "thresholds.subsidy: expected a number"),
    ('"thresholds": {"subsidy": 1.5}', "thresholds.subsidy: Input should be less than or equal to 1"),
    ('"thresholds": {"subsidi": 0.5}', "thresholds: unknown label 'subsidi'; did you mean 'subsidy'?"),
    ('"scores": true, "scores": true', "scores: occurs twice in one object"),
    ('"thresholds": {"subsidy": 0.1, "subsidy": 0.2}', "subsidy: occurs twice in one object"),
]


@pytest.mark.parametrize(("option", "message"), OPTIONS_422)
def test_a_wrong_option_is_named(client: TestClient, option: str, message: str) -> None:
    body = f'{{"paragraphs": [{{"id": "a", "text": "补贴"}}], {option}}}'.encode()
    error(client.post("/v1/tag", content=body, headers=JSON), 422, "invalid_field", message)


def test_a_million_unknown_fields_are_one_error(client: TestClient) -> None:
    body = json.dumps(dict.fromkeys(map(str, range(400_000)), 1))
    error(client.post("/v1/tag", content=body, headers=JSON), 422, "invalid_field", "an object of 400000 fields")


def test_evidence_is_answered_where_asked_for_in_code_points_of_the_text_as_sent(client: TestClient) -> None:
    paragraphs = [
        {"id": "a", "text": "𠮷😀　給予補 貼，引进人才"},
        {"id": "b", "text": " "},
        {"id": "c", "text": "通知"},
    ]
    first, blank, none = client.post("/v1/tag", json={"paragraphs": paragraphs, "explain": True}).json()["results"]
    assert {tag["id"]: tag["evidence"] for tag in first["instruments"]} == {
        "subsidy": [{"start": 5, "end": 6, "weight": 1.0}],
        "talent": [{"start": 12, "end": 13, "weight": 1.0}],
    }
    assert blank["error"]["code"] == "blank_text"
    assert none["instruments"] == none["industries"] == []


def test_evidence_is_of_the_requests_own_thresholds(client: TestClient) -> None:
    body = {"paragraphs": [{"id": "a", "text": "补贴"}], "explain": True, "thresholds": {"talent": 0.01}}
    [result] = client.post("/v1/tag", json=body).json()["results"]
    assert {tag["id"]: len(tag["evidence"]) for tag in result["instruments"]} == {"subsidy": 1, "talent": 0}


def test_a_table_comes_back_as_a_workbook_of_texts(client: TestClient) -> None:
    answer = client.post("/v1/table", json={"columns": ["序号", "=1+1\u0001"], "rows": [[1, "=补贴"], [2]]})
    assert answer.headers["content-type"] == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    rows = list(load_workbook(io.BytesIO(answer.content)).active.rows)  # pyright: ignore[reportOptionalMemberAccess]
    assert [[cell.value for cell in row] for row in rows] == [["序号", "=1+1 "], [1, "=补贴"], [2, None]]
    assert [rows[0][1].data_type, rows[1][1].data_type] == ["s", "s"]


def test_a_table_that_is_too_large_or_holds_something_else_is_refused(client: TestClient) -> None:
    null, large = {"columns": ["a"], "rows": [[None]]}, {"columns": ["a"], "rows": [[1]] * 100_000}
    error(client.post("/v1/table", json=null), 422, "invalid_field", "rows[0][0]", 0)
    error(client.post("/v1/table", json=large), 413, "table_too_large", "at most 100000")


def test_evidence_is_asked_for_16_paragraphs_at_most(client: TestClient) -> None:
    paragraphs = [{"id": str(i), "text": "补贴"} for i in range(17)]
    error(client.post("/v1/tag", json={"paragraphs": paragraphs, "explain": True}), 413, "too_many_paragraphs", "16")
    assert client.post("/v1/tag", json={"paragraphs": paragraphs[1:], "explain": True}).status_code == 200


def test_scores_of_all_labels_are_answered_where_asked_for(client: TestClient) -> None:
    body = {"paragraphs": [{"id": "a", "text": "补贴"}, {"id": "b", "text": " "}], "scores": True}
    first, blank = client.post("/v1/tag", json=body).json()["results"]
    assert len(first["scores"]) == 18
    assert first["scores"]["subsidy"] == first["instruments"][0]["score"]
    assert first["scores"]["talent"] == 0.018
    assert "scores" not in blank


def test_thresholds_of_a_request_replace_the_models_for_it_alone(client: TestClient) -> None:
    paragraphs = [{"id": "a", "text": "补贴，人才"}]
    body = {"paragraphs": paragraphs, "thresholds": {"subsidy": 0.96, "platform": 0.01}}
    changed, plain = (client.post("/v1/tag", json=b).json() for b in (body, {"paragraphs": paragraphs}))
    assert [tag["id"] for tag in changed["results"][0]["instruments"]] == ["talent", "platform"]
    assert [tag["id"] for tag in plain["results"][0]["instruments"]] == ["talent", "subsidy"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xef\xbb\xbf{}",
        '{"paragraphs": "补贴"}'.encode("gb18030"),
        b"[" * 100_000,
        b'{"paragraphs": "\\ud800"}',
        b'{"paragraphs": [' + b'{"a": ' * 100_000,
        b'{"paragraphs": 1' + b"0" * 100_000 + b".}",
    ],
    ids=["empty", "cut", "bom", "gb18030", "deep", "surrogate", "deep objects", "long number"],
)
def test_what_is_no_json_is_refused_with_its_place(client: TestClient, body: bytes) -> None:
    error(client.post("/v1/tag", content=body, headers=JSON), 400, "invalid_json", "at line 1 column")


def test_an_empty_list_is_refused(client: TestClient) -> None:
    error(client.post("/v1/tag", json={"paragraphs": []}), 400, "no_paragraphs", "expected at least one")


@pytest.mark.parametrize(
    "media_type",
    [
        "text/xml",
        "multipart/form-data; boundary=x",
        "application/vnd.bentoml+pickle",
        "",
        "application/json; charset=gbk",
    ],
)
def test_other_content_types_are_refused(client: TestClient, media_type: str) -> None:
    answer = client.post("/v1/tag", content=b'{"paragraphs": []}', headers={"content-type": media_type})
    error(answer, 415, "unsupported_media_type", "Content-Type: application/json")


def test_a_gzipped_body_is_unpacked(client: TestClient) -> None:
    body = gzip.compress('{"paragraphs": [{"id": "a", "text": "补贴"}]}'.encode())
    answer = client.post("/v1/tag", content=body, headers=JSON | {"content-encoding": "gzip"})
    assert answer.json()["results"][0]["instruments"][0]["id"] == "subsidy"


@pytest.mark.parametrize("body", [b"x", gzip.compress(b"{}")[:-1], gzip.compress(b"{}") + b"x"])
def test_a_body_that_is_not_one_gzip_stream_is_refused(client: TestClient, body: bytes) -> None:
    error(
        client.post("/v1/tag", content=body, headers=JSON | {"content-encoding": "gzip"}),
        400,
        "invalid_gzip",
        "not one whole gzip stream",
    )


def test_a_gzip_bomb_is_refused_when_it_passes_the_limit(client: TestClient) -> None:
    bomb = gzip.compress(b" " * 50 * MAX_BODY_BYTES)
    assert len(bomb) < MAX_BODY_BYTES // 10
    error(
        client.post("/v1/tag", content=bomb, headers=JSON | {"content-encoding": "gzip"}),
        413,
        "body_too_large",
        f"exceeds {MAX_BODY_BYTES} bytes",
    )


def test_other_content_encodings_are_refused(client: TestClient) -> None:
    answer = client.post("/v1/tag", content=b"x", headers=JSON | {"content-encoding": "br"})
    error(answer, 415, "unsupported_encoding", "gzip")


def test_a_body_over_the_limit_is_refused_by_its_announced_length(client: TestClient) -> None:
    answer = client.post("/v1/tag", content=b" " * (MAX_BODY_BYTES + 1), headers=JSON)
    error(answer, 413, "body_too_large", f"exceeds {MAX_BODY_BYTES} bytes")


def test_a_chunked_body_over_the_limit_is_refused_while_it_arrives(client: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        yield from [b" " * 65_536] * (MAX_BODY_BYTES // 65_536 + 1)

    error(client.post("/v1/tag", content=chunks(), headers=JSON), 413, "body_too_large")


def test_a_body_at_the_limit_is_read(client: TestClient) -> None:
    paragraph = json.dumps({"paragraphs": [{"id": "a", "text": "补贴"}]})
    answer = client.post("/v1/tag", content=paragraph.ljust(MAX_BODY_BYTES).encode(), headers=JSON)
    assert answer.status_code == 200


def test_errors_do_not_repeat_the_input(client: TestClient) -> None:
    secret = "机密" * 30
    for body in ({"paragraphs": [{"id": secret, "text": 1}]}, {"paragraphs": secret}, {secret: 1}):
        answer = client.post("/v1/tag", json=body)
        assert answer.status_code == 422
        assert secret not in answer.text


def test_unknown_routes_and_methods_get_the_envelope(client: TestClient) -> None:
    error(client.get("/v2"), 404, "not_found")
    error(client.get("/v1/tag"), 405, "method_not_allowed")
    refused = client.post("/v1/taxonomy")
    error(refused, 405, "method_not_allowed")
    assert "GET" in refused.headers["allow"]


def test_a_failing_handler_gets_the_envelope(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> None:
        raise RuntimeError("secret")

    engine = bentoml.get_current_service().models.current.engine
    monkeypatch.setattr(engine, "run", fail)
    answer = tag(client, "补贴")
    error(answer, 500, "internal_error")
    assert "secret" not in answer.text
    monkeypatch.setattr(bentoml, "get_current_service", lambda: fail(None))
    error(client.get("/v1/taxonomy"), 500, "internal_error")


def test_a_full_queue_refuses_before_the_body_is_looked_at(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise QueueFullError(7)

    monkeypatch.setattr(bentoml.get_current_service().scheduler, "check_room", full)
    answer = client.post("/v1/tag", content=b"{no JSON", headers={"content-type": "application/json"})
    error(answer, 429, "overloaded")
    assert answer.headers["retry-after"] == "7"


def test_the_taxonomy_is_told_whole(client: TestClient) -> None:
    answer = client.get("/v1/taxonomy")
    assert answer.json()["version"] == "1"
    first = answer.json()["labels"][0]
    assert list(first) == ["id", "facet", "name_zh", "name_en", "definition", "crosswalk"]
    assert len(answer.json()["labels"]) == 18
    assert "资金补贴".encode() in answer.content


def test_ready_means_that_the_model_gives_its_recorded_answers(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200

    def broken(*_: Any) -> None:
        raise ArtifactError("golden.json: text 0 gives other logits")

    monkeypatch.setattr(type(bentoml.get_current_service().models.current), "check_golden", broken)
    time.sleep(FRESH_SECONDS)
    error(client.get("/readyz"), 503, "not_ready")
    assert client.get("/livez").status_code == 200


def test_the_docs_need_no_network(client: TestClient) -> None:
    page = client.get("/docs")
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert "default-src 'self'" in page.text  # BentoML's description of the service brings images from outside


def test_the_model_tells_its_version_data_metrics_and_thresholds(client: TestClient) -> None:
    answer = client.get("/v1/model").json()
    assert answer["version"] == tag(client, "补贴").json()["model"]["version"]
    assert answer["thresholds"]["subsidy"] == 0.5
    assert answer["recipe"] == {"max_tokens": 64, "overlap": 8, "max_chars": 400, "piece_tokens": 0}
    assert set(answer) >= {"data", "metrics", "taxonomy", "encoder", "versions", "temperature"}
