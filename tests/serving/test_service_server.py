"""A real server process: BentoML's client, curl, and what happens when it cannot start."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import bentoml
import httpx
import pytest

from serving.cli import main


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


def test_a_large_chunked_body_is_refused_and_the_server_goes_on(server: str) -> None:
    def chunks():
        yield from [b" " * 65_536] * 300

    answer = httpx.post(f"{server}/v1/tag", content=chunks(), headers={"content-type": "application/json"}, timeout=20)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"
    assert httpx.get(f"{server}/readyz").status_code == 200


def test_a_taken_port_is_one_line(server: str) -> None:
    port = server.rpartition(":")[2]
    command = [sys.executable, "-m", "serving.cli", "serve", "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"policytag: 127.0.0.1:{port}: cannot listen there (Address already in use); choose another with --port\n"
    )


def test_a_model_that_is_missing_or_changed_is_one_line(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--model", str(tmp_path / "none")]) == 1
    copy = tmp_path / "copy"
    shutil.copytree(tiny_model, copy)
    (copy / "model.onnx").write_bytes(b"other")
    assert main(["serve", "--model", str(copy)]) == 1
    missing, changed = capsys.readouterr().err.splitlines()
    assert missing.startswith(f"policytag: {tmp_path / 'none'}: no such model folder")
    assert changed.startswith(f"policytag: {copy / 'model.onnx'}: changed since the model was made")


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_port_that_is_none_is_a_usage_error(port: str) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["serve", f"--port={port}"])
    assert exit_.value.code == 2


def test_an_unknown_host_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert main(["serve", "--host", "203.0.113.1", "--port", str(port)]) == 1
    assert "check --host" in capsys.readouterr().err
