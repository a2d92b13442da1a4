"""A real server under load and faults. The measurements of `bench` at a small size, with the tiny model."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
JSON = {"content-type": "application/json"}


def one(text: str) -> bytes:
    return json.dumps({"paragraphs": [{"id": "a", "text": text}]}, ensure_ascii=False).encode()


def test_a_paragraph_of_ten_megabytes_is_refused_and_one_below_is_cut_within_a_second(server: str) -> None:
    neighbours = {"paragraphs": [{"id": "a", "text": "补" * 2_500_000}, {"id": "b", "text": "才"}]}
    body = json.dumps(neighbours, ensure_ascii=False).encode()
    httpx.post(f"{server}/v1/tag", content=one("补"), headers=JSON)
    started = time.monotonic()
    refused = httpx.post(f"{server}/v1/tag", content=one("补" * 3_500_000), headers=JSON, timeout=30)
    between = time.monotonic()
    long, short = httpx.post(f"{server}/v1/tag", content=body, headers=JSON, timeout=30).json()["results"]
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "body_too_large")
    assert (long["truncated"], short["truncated"]) == (True, False)
    assert [tag["id"] for tag in short["instruments"]] == ["talent"]
    assert max(between - started, time.monotonic() - between) < 5  # a second, on a machine that is not busy


def test_a_thousand_half_open_connections_do_not_keep_others_out(server: str) -> None:
    port = int(server.rpartition(":")[2])
    head = b"POST /v1/tag HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
    opened = []
    try:
        for number in range(1000):
            opened.append(socket.create_connection(("127.0.0.1", port), timeout=20))
            opened[-1].sendall(head if number % 2 else head[:20])
        for _ in range(5):
            assert httpx.post(f"{server}/v1/tag", content=one("补贴"), headers=JSON, timeout=20).status_code == 200
        assert httpx.get(f"{server}/livez", timeout=20).status_code == 200
    finally:
        for connection in opened:
            connection.close()


def test_a_process_may_hold_as_many_connections_as_the_system_allows() -> None:
    script = (
        "import resource\n"
        "from serving.launch import raise_open_files\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512))\n"
        "raise_open_files()\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "(512, 512)\n"


def measured(what: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", *what.split(), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "times"), [("sigterm", 2), ("kills", 2), ("promotions", 5), ("neighbours", 60), ("unicode", 2000)]
)
def test_the_measurements_hold_at_a_small_size(tiny_model: Path, what: str, times: int) -> None:
    assert measured(f"bench.http_faults {what}", "--model", str(tiny_model), "--times", str(times))["failed"] == []


@pytest.mark.slow
def test_an_overloaded_server_answers_200_429_or_504_and_nothing_is_lost() -> None:
    """How fast is not asked here: that needs a machine that does nothing else."""
    found = measured("bench.http_speed overload", "--seconds", "5", "--clients", "8")
    assert "only 200, 429, 504" not in found["failed"], found
    assert set(found["answers afterwards"]) - {"lost", "refused"} == {"200"}
    assert measured("bench.http_speed beside", "--seconds", "1")["share"] > 0


@pytest.mark.slow
def test_generated_requests_find_no_5xx_and_no_answer_that_the_document_does_not_describe(server: str) -> None:
    schemathesis = str(Path(sys.executable).with_name("schemathesis"))
    command = [schemathesis, "run", f"{server}/docs.json", "--max-examples=60", "--phases=examples,coverage,fuzzing"]
    done = subprocess.run([*command, "--no-color"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    assert re.search(r"\d+ generated", done.stdout)
