"""Servers in processes of their own: this project's, infinity-emb's and LitServe's on the same model folder.

The others are looked for in the Python that ``--others`` names, since what they require conflicts with this project.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

START_SECONDS = 180
CLIENTS = 4
A_REQUEST = 32
"""Paragraphs a request."""
LITSERVE = Path(__file__).with_name("litserve_server.py")
Post = Callable[[Sequence[str]], object]


@contextmanager
def ours(model: Path, threads: int) -> Iterator[tuple[Post, int, float]]:
    """``policytag serve``: how to ask it, its process, and the seconds from start to ready."""
    command = [sys.executable, "-m", "serving.cli", "serve", "--host", "127.0.0.1"]
    settings = {"POLICYTAG_MODEL": str(model), "POLICYTAG_THREADS": str(threads)}
    with _running(command, settings, "/readyz") as (url, process, seconds):
        yield (
            lambda texts: _post(f"{url}/v1/tag", {"paragraphs": [_row(i, t) for i, t in enumerate(texts)]}),
            process,
            seconds,
        )


def _row(number: int, text: str) -> dict[str, str]:
    return {"id": str(number), "text": text}


@contextmanager
def infinity(model: Path, python: Path) -> Iterator[Post]:
    """``infinity_emb`` with its torch engine on the CPU."""
    command = [str(python.with_name("infinity_emb")), "v2", "--model-id", str(model.absolute()), "--device", "cpu",
               "--engine", "torch", "--no-bettertransformer", "--host", "127.0.0.1"]  # fmt: skip
    with _running(command, {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}, "/health") as (url, _, _):
        body = {"model": model.absolute().name, "raw_scores": True}
        with contextlib.suppress(Exception):
            names = json.loads(urllib.request.urlopen(f"{url}/models", timeout=5).read())
            body["model"] = names["data"][0]["id"]
        yield lambda texts: _post(f"{url}/classify", {**body, "input": list(texts)})


@contextmanager
def litserve(model: Path, python: Path) -> Iterator[Post]:
    """LitServe around a transformers pipeline, batched, as its documentation shows."""
    with _running([str(python), str(LITSERVE), str(model)], {}, "/health") as (url, _, _):
        yield lambda texts: _post(f"{url}/predict", {"texts": list(texts)})


@contextmanager
def _running(command: list[str], settings: dict[str, str], probe: str) -> Iterator[tuple[str, int, float]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, started = f"http://127.0.0.1:{port}", time.perf_counter()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)], env={**os.environ, **settings}, stdout=log, stderr=log,
            process_group=0,
        )  # fmt: skip
        try:
            _wait(url + probe, process)
            yield url, process.pid, time.perf_counter() - started
        except Exception:
            log.seek(0)
            sys.stderr.write(log.read()[-2000:].decode(errors="replace"))
            raise
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with exit code {process.returncode}")
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=1).close()
            return
        time.sleep(0.02)
    raise RuntimeError(f"not ready after {START_SECONDS} s")


def _post(url: str, body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return answer.read()


def ask(post: Post, texts: Sequence[str], clients: int = CLIENTS, size: int = A_REQUEST) -> list[float]:
    """All texts through so many clients at once, each waiting for its answer. Seconds of each request."""

    def one(part: Sequence[str]) -> float:
        start = time.perf_counter()
        post(part)
        return time.perf_counter() - start

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(one, [texts[i : i + size] for i in range(0, len(texts), size)]))


def command_line(model: Path, texts: Sequence[str], folder: Path, threads: int) -> Callable[[], object]:
    """``policytag tag`` of a JSONL file, from start to exit."""
    source, out = folder / "rows.jsonl", folder / "out"
    rows = [json.dumps(_row(i, text), ensure_ascii=False) for i, text in enumerate(texts)]
    source.write_text("\n".join(rows) + "\n", encoding="utf-8")
    number = iter(range(10**6))

    def run() -> None:
        target = out.with_name(f"{out.name}{next(number)}.jsonl")
        command = [sys.executable, "-m", "serving.cli", "tag", str(source), "-o", str(target), "--model", str(model)]
        environment = {**os.environ, "POLICYTAG_THREADS": str(threads)}
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return run


def resident_megabytes(pid: int) -> float:
    """Resident memory of the largest of a process and its children, the worker, in MB."""
    process = psutil.Process(pid)
    return max(each.memory_info().rss for each in (process, *process.children(recursive=True))) / 1e6
