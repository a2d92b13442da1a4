"""``POST /v1/tag-document`` and ``/v1/paragraphs``: texts and files in; paragraphs, tags and a summary out."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving import documents
from serving.document_schemas import MAX_EXPLAINED_IN_DOCUMENT
from serving.uploads import MAX_UPLOAD_BYTES

TEXT = "关于支持软件产业的通知\n【字号：大 中 小】\n一、资金\n对软件企业给予补贴。\n二、人才\n引进人才。\n"


def send(client: TestClient, data: bytes, media_type: str, **query: str) -> Any:
    return client.post("/v1/tag-document", content=data, headers={"content-type": media_type}, params=query)


def check(answer: Any, name: str, fmt: str) -> None:
    """Asserts the answer to `TEXT`, whatever it was sent as."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["document"]["name"] == name
    assert body["document"]["format"] == fmt
    tagged = [p for p in body["paragraphs"] if p["kind"] != "furniture"]
    assert [p["text"] for p in tagged][-4:] == ["一、资金", "对软件企业给予补贴。", "二、人才", "引进人才。"]
    assert tagged[-3]["headings"][-1] == "一、资金"
    assert [t["id"] for t in tagged[-3]["instruments"] + tagged[-3]["industries"]] == [
        "subsidy",
        "information_technology",
    ]
    assert [p["index"] for p in body["paragraphs"]] == list(range(len(body["paragraphs"])))


def test_a_text_is_cut_tagged_and_added_up(client: TestClient) -> None:
    answer = client.post("/v1/tag-document", json={"text": TEXT, "name": "通知"})
    check(answer, "通知", "txt")
    assert "对软件企业给予补贴。".encode() in answer.content
    furniture = answer.json()["paragraphs"][1]
    assert (furniture["kind"], furniture["instruments"], furniture["industries"]) == ("furniture", [], [])
    summary = answer.json()["summary"]
    # 11 + 4 + 10 + 4 + 5 characters were tagged; 软 is in 11 + 10 of them, 补 in 10, 才 in 4 + 5.
    assert (summary["paragraphs"], summary["furniture"], summary["untagged"], summary["chars"]) == (5, 1, 1, 34)
    assert [(s["id"], s["paragraphs"], round(s["share"] * 34)) for s in summary["instruments"]] == [
        ("subsidy", 1, 10),
        ("talent", 2, 9),
    ]
    assert [(s["id"], round(s["share"] * 34)) for s in summary["industries"]] == [("information_technology", 21)]
    assert summary["instruments"][0]["name"] == "资金补贴"


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
def test_a_text_file_is_read_in_its_encoding(client: TestClient, encoding: str) -> None:
    check(send(client, TEXT.encode(encoding), "text/plain", filename="通知.txt"), "通知.txt", "txt")


def html() -> bytes:
    body = "".join(f"<p>{line}</p>" for line in TEXT.splitlines())
    return f"<html><head><meta charset=utf-8></head><body>{body}</body></html>".encode()


def docx() -> bytes:
    import docx

    document = docx.Document()
    for line in TEXT.splitlines():
        document.add_paragraph(line)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def test_a_file_is_told_by_its_content_type_or_by_its_name(client: TestClient) -> None:
    word = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    check(send(client, html(), "text/html; charset=utf-8"), "", "html")
    check(send(client, html(), "application/octet-stream", filename="a.HTML"), "a.HTML", "html")
    check(send(client, docx(), word), "", "docx")
    check(send(client, docx(), "application/octet-stream", filename="C:\\文件\\通知.docx"), "通知.docx", "docx")


def test_rows_of_a_table_are_paragraphs_and_bad_ones_are_told(client: TestClient) -> None:
    rows = '{"id": "a", "text": "补贴"}\n{"id": "b"}\n'.encode()
    answer = send(client, rows, "application/octet-stream", filename="rows.jsonl").json()
    assert [p["text"] for p in answer["paragraphs"]] == ["补贴"]
    assert answer["rejected"][0]["line"] == 2
    assert "'text' is missing" in answer["rejected"][0]["reason"]


def test_scores_and_thresholds_are_taken(client: TestClient) -> None:
    answer = client.post(
        "/v1/tag-document", json={"text": "补贴", "scores": True, "thresholds": {"subsidy": 0.99}}
    ).json()
    assert answer["paragraphs"][0]["instruments"] == []
    assert len(answer["paragraphs"][0]["scores"]) == 18
    upload = send(client, "补贴".encode(), "text/plain", scores="true").json()
    assert len(upload["paragraphs"][0]["scores"]) == 18


def test_parameters_count_for_a_text_too(client: TestClient) -> None:
    answer = client.post("/v1/tag-document?filename=a.txt&scores=true", json={"text": "补贴"}).json()
    assert answer["document"]["name"] == "a.txt"
    assert len(answer["paragraphs"][0]["scores"]) == 18
    refused(
        client.post("/v1/tag-document?scores=null", json={"text": "补"}), 422, "invalid_field", "scores: expected true"
    )


def refused(answer: Any, status: int, code: str, message: str) -> None:
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert message in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "media_type",
    ["multipart/form-data; boundary=x", "application/xml", "application/vnd.bentoml+pickle", "image/png", ""],
)
def test_what_no_reader_knows_is_refused_unread(client: TestClient, media_type: str) -> None:
    refused(send(client, b"x" * 100, media_type), 415, "unsupported_media_type", ".docx")
    refused(send(client, b"x", "application/octet-stream", filename="a.exe"), 415, "unsupported_media_type", ".docx")


def test_what_cannot_be_read_is_told_without_its_content(client: TestClient) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"0" * (600 * 1024 * 1024))
    for data, name in (
        (b"", "a.txt"),
        (b"%PDF-1.4 broken", "a.pdf"),
        (b"PK\x03\x04 broken", "a.docx"),
        (bomb.getvalue(), "a.docx"),
    ):
        answer = send(client, data, "application/octet-stream", filename=name)
        refused(answer, 422, "unreadable_document", "")
        assert "document." not in answer.json()["error"]["message"][:9]
        assert "Traceback" not in answer.text
    refused(client.post("/v1/tag-document", json={"text": " \n"}), 422, "unreadable_document", "empty")


def test_a_wrong_parameter_of_an_upload_is_named(client: TestClient) -> None:
    refused(send(client, b"x", "text/plain", file="a"), 422, "invalid_field", "file: unknown parameter")
    refused(send(client, b"x", "text/plain", scores="1"), 422, "invalid_field", "scores: expected true or false")
    twice = client.post("/v1/tag-document?filename=a&filename=b", content=b"x", headers={"content-type": "text/plain"})
    refused(twice, 422, "invalid_field", "filename: occurs twice")


def test_a_file_over_the_limit_is_refused(client: TestClient) -> None:
    refused(send(client, b" " * (MAX_UPLOAD_BYTES + 1), "text/plain"), 413, "body_too_large", str(MAX_UPLOAD_BYTES))


def test_a_document_of_too_many_paragraphs_is_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_DOCUMENT_PARAGRAPHS", 4)
    refused(
        client.post("/v1/tag-document", json={"text": TEXT}),
        413,
        "too_many_paragraphs",
        "6 paragraphs; expected at most 4",
    )


def test_evidence_of_a_document_is_answered_in_its_paragraphs_texts(client: TestClient) -> None:
    answer = client.post("/v1/tag-document", json={"text": TEXT, "explain": True}).json()
    [fourth] = [p for p in answer["paragraphs"] if p["text"] == "对软件企业给予补贴。"]
    [subsidy] = fourth["instruments"]
    assert [fourth["text"][s["start"] : s["end"]] for s in subsidy["evidence"]] == ["补"]
    upload = send(client, "发放补贴".encode(), "text/plain", explain="true").json()
    assert upload["paragraphs"][0]["instruments"][0]["evidence"]
    plain = client.post("/v1/tag-document", json={"text": TEXT})
    assert "evidence" not in plain.text


def test_evidence_of_too_long_a_document_is_refused(client: TestClient) -> None:
    text = "\n".join(f"{number}、对企业给予补贴。" for number in range(MAX_EXPLAINED_IN_DOCUMENT + 1))
    answer = client.post("/v1/tag-document", json={"text": text, "explain": True})
    refused(answer, 413, "too_many_paragraphs", "129 paragraphs; expected at most 128 with explain")


def test_a_text_or_a_file_is_only_cut_where_tags_are_not_asked_for(client: TestClient) -> None:
    answer = client.post("/v1/paragraphs", json={"text": TEXT, "name": "通知"})
    tagged = client.post("/v1/tag-document", json={"text": TEXT, "name": "通知"}).json()
    keys = ("index", "kind", "headings", "text")
    assert answer.json() == {
        "document": tagged["document"],
        "paragraphs": [{key: paragraph[key] for key in keys} for paragraph in tagged["paragraphs"]],
        "rejected": [],
    }
    file = client.post("/v1/paragraphs?filename=a.docx", content=docx(), headers={"content-type": ""})
    assert [p["text"] for p in file.json()["paragraphs"]] == [p["text"] for p in answer.json()["paragraphs"]]
    refused(client.post("/v1/paragraphs", json={"text": "补", "scores": True}), 422, "invalid_field", "scores: unknown")
    refused(client.post("/v1/paragraphs?scores=true", json={"text": "补"}), 422, "invalid_field", "scores: unknown")
    refused(client.post("/v1/paragraphs", json={"text": " "}), 422, "unreadable_document", "empty")


def test_a_long_document_goes_through_a_small_queue_piece_by_piece(client: TestClient) -> None:
    text = "\n".join(f"{number}、对第{number}家企业给予补贴。" for number in range(500))
    answer = client.post("/v1/tag-document", json={"text": text}).json()
    assert len(answer["paragraphs"]) == 500
    assert all(p["instruments"][0]["id"] == "subsidy" for p in answer["paragraphs"])
