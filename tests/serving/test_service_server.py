"""A real server process: BentoML's client, curl, and what happens when it cannot start."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import bentoml
import httpx
import pytest

from serving.cli import main
from serving.launch import check_settings

RunningServer = Callable[[list[str], dict[str, str]], AbstractContextManager[str]]
COMMANDS = [["serving.cli", "serve"], ["bentoml", "serve", "serving.service:PolicyTagService"]]


def test_bentomls_own_client_tags(server: str) -> None:
    with bentoml.SyncHTTPClient(server) as client:
        answer = client.tag(paragraphs=[{"id": "a", "text": "软件补贴"}, {"id": "b", "text": " "}])  # pyright: ignore[reportAttributeAccessIssue]
    tagged, blank = answer["results"]
    assert [tag["name"] for tag in tagged["instruments"] + tagged["industries"]] == ["资金补贴", "信息技术"]
    assert blank["error"]["code"] == "blank_text"


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_tags(server: str) -> None:
    body = '{"paragraphs":[{"id":"a","text":"引进人才"}]}'
    command = ["curl", "-sS", f"{server}/v1/tag", "-H", "Content-Type: application/json", "-d", body]
    done = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(done.stdout)["results"][0]["instruments"][0]["name"] == "人才引进"
    assert "人才引进".encode() in done.stdout


def test_probes_answer(server: str) -> None:
    assert httpx.get(f"{server}/livez").status_code == 200
    assert httpx.get(f"{server}/readyz").status_code == 200


def test_the_openapi_document_tells_every_route_and_its_examples_run(server: str) -> None:
    specification = httpx.get(f"{server}/docs.json").json()
    routes = {"tag", "tag-document", "paragraphs", "corrections", "table", "taxonomy", "model"}
    assert set(specification["paths"]) == {f"/v1/{name}" for name in routes} | {"/livez", "/readyz", "/metrics"}
    thresholds = specification["components"]["schemas"]["TagRequest"]["properties"]["thresholds"]
    assert len(thresholds["properties"]) == 18
    for path, operations in specification["paths"].items():
        for method, operation in operations.items():
            example = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
            answer = httpx.request(method, f"{server}{path}", json=example)
            assert answer.status_code == 200, path
            assert answer.headers["content-type"].partition(";")[0] in operation["responses"]["200"]["content"], path


def test_a_large_chunked_body_is_refused_and_the_server_goes_on(server: str) -> None:
    def chunks():
        yield from [b" " * 65_536] * 300

    answer = httpx.post(f"{server}/v1/tag", content=chunks(), headers={"content-type": "application/json"}, timeout=20)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"
    assert httpx.get(f"{server}/readyz").status_code == 200


@pytest.mark.parametrize("command", COMMANDS)
def test_a_taken_port_ends_both_commands_with_one_line(server: str, command: list[str]) -> None:
    port = server.rpartition(":")[2]
    arguments = [sys.executable, "-m", *command, "--port", port]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"policytag: 127.0.0.1:{port}: cannot listen there (Address already in use); choose another with --port\n"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_model_that_is_missing_ends_both_commands_with_one_line(
    environment: None, tmp_path: Path, command: list[str]
) -> None:
    arguments = [sys.executable, "-m", *command, "--port", str(free_port())]
    settings = os.environ | {"POLICYTAG_MODEL": str(tmp_path / "none")}
    done = subprocess.run(arguments, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"policytag: {tmp_path / 'none'}: no such model folder")


def test_a_model_that_was_changed_and_a_setting_of_no_use_are_told_before_the_workers_start(
    environment: None, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_model, copy)
    check_settings(tmp_path)
    (copy / "model.onnx").write_bytes(b"other")
    monkeypatch.setenv("POLICYTAG_MODEL", "copy")
    with pytest.raises(SystemExit, match=f"policytag: {copy / 'model.onnx'}: changed since the model was made"):
        check_settings(tmp_path)
    monkeypatch.setenv("POLICYTAG_THREADS", "many")
    with pytest.raises(SystemExit, match="policytag: POLICYTAG_THREADS: 'many'; expected a whole number"):
        check_settings(tmp_path)


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_port_that_is_none_is_a_usage_error(port: str) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["serve", f"--port={port}"])
    assert exit_.value.code == 2


def test_an_unknown_host_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", "203.0.113.1", "--port", str(free_port())]) == 1
    assert "check --host" in capsys.readouterr().err


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def guarded(environment: None, running_server: RunningServer) -> Iterator[str]:
    """A server that wants a key."""
    keys = os.environ | {"POLICYTAG_API_KEYS": "first-key, second-key"}
    with running_server([sys.executable, "-m", "bentoml", "serve", "serving.service:PolicyTagService"], keys) as url:
        yield url


def test_with_keys_everything_but_probes_and_pages_needs_one(guarded: str) -> None:
    for path in ("/livez", "/readyz", "/docs", "/docs.json"):
        assert httpx.get(f"{guarded}{path}").status_code == 200
    for path in ("/v1/taxonomy", "/v1/model", "/metrics", "/schema.json", "/nothing"):
        refused = httpx.get(f"{guarded}{path}")
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthorized")
        assert refused.headers["www-authenticate"] == "Bearer"
    for key in ("first-key", "second-key"):
        assert httpx.get(f"{guarded}/v1/taxonomy", headers={"authorization": f"Bearer {key}"}).status_code == 200
    for wrong in ("Bearer first-ke", "Bearer first-key, second-key", "Basic first-key", "Bearer", "first-key"):
        assert httpx.get(f"{guarded}/v1/taxonomy", headers={"authorization": wrong}).status_code == 401


def test_bentomls_own_client_shows_a_key(guarded: str) -> None:
    with bentoml.SyncHTTPClient(guarded, token="second-key") as client:
        answer = client.tag(paragraphs=[{"id": "a", "text": "补贴"}])  # pyright: ignore[reportAttributeAccessIssue]
    assert answer["results"][0]["instruments"][0]["id"] == "subsidy"
