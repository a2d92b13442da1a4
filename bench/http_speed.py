"""How fast the service is beside the tagger itself, and what it does with five times what it can take.

    python -m bench.http_speed beside       throughput and latency, HTTP and in process, in turns
    python -m bench.http_speed overload     open loop at a multiple of saturation

Prints figures as JSON; the last key, ``failed``, names the bounds that did not hold. Exit code 1 if there are any.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import uvloop

from bench.http_load import (
    JSON,
    SIZE,
    TIMEOUT_SECONDS,
    Outcome,
    closed_loop,
    counted,
    lag,
    open_loop,
    percentile,
    prepared,
    probe,
    texts,
    unmet,
)
from bench.http_server import Server, serving
from policytag.artifact import DEFAULT_MODEL
from policytag.engine import processors
from policytag.tagger import Tagger
from policytag.text import Paragraph


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("beside", "overload"))
    parser.add_argument("--model", type=Path, default=Path(DEFAULT_MODEL))
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement [%(default)s]")
    parser.add_argument("--clients", type=int, default=24, help="that saturate [%(default)s]")
    parser.add_argument("--factor", type=float, default=5, help="overload, in saturations [%(default)s]")
    arguments = parser.parse_args(argv)
    with serving(arguments.model) as server, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run((_beside if arguments.what == "beside" else _overload)(server, arguments))
    print(json.dumps(found, indent=1))
    return bool(found["failed"])


async def _saturated(server: Server, supply: Iterator[bytes], clients: int, seconds: float) -> tuple[float, Outcome]:
    """Requests a second that are answered 200."""
    outcome = Outcome()
    end = time.monotonic() + seconds
    await closed_loop(f"{server.url}/v1/tag", supply, clients, lambda: time.monotonic() > end, outcome)
    return len(outcome.seconds.get(200, [])) / (time.monotonic() - end + seconds), outcome


def _in_process(tagger: Tagger, paragraphs: Sequence[Paragraph], seconds: float, chunk: int) -> float:
    """Paragraphs a second."""
    done, started = 0, time.monotonic()
    while time.monotonic() - started < seconds:
        tagger.tag([paragraphs[(done + i) % len(paragraphs)] for i in range(chunk)])
        done += chunk
    return done / (time.monotonic() - started)


async def _beside(server: Server, arguments: argparse.Namespace) -> dict[str, Any]:
    paragraphs = [Paragraph(str(i), "", i, text) for i, text in enumerate(texts())]
    tagger = Tagger.load(arguments.model, threads=processors())
    supply = prepared()
    await _saturated(server, supply, arguments.clients, 2)
    inside: list[float] = []
    over: list[float] = []
    for _ in range(2):
        inside.append(_in_process(tagger, paragraphs, arguments.seconds, 512))
        requests, _ = await _saturated(server, supply, arguments.clients, arguments.seconds)
        over.append(requests * SIZE)
    one_inside, one_over = _one(server, tagger, paragraphs)
    found: dict[str, Any] = {
        "paragraphs a second in process": round(sum(inside) / 2, 1),
        "paragraphs a second over HTTP": round(sum(over) / 2, 1),
        "share": round(sum(over) / sum(inside), 3),
        "one paragraph in process, p50 ms": round(1000 * percentile(one_inside, 0.5), 2),
        "one paragraph over HTTP, p50 ms": round(1000 * percentile(one_over, 0.5), 2),
        "one paragraph over HTTP, p99 ms": round(1000 * percentile(one_over, 0.99), 2),
    }
    found["times as long"] = round(percentile(one_over, 0.5) / percentile(one_inside, 0.5), 2)
    found["failed"] = unmet({"share >= 0.85": found["share"] >= 0.85, "times <= 1.6": found["times as long"] <= 1.6})
    return found


def _one(
    server: Server, tagger: Tagger, paragraphs: Sequence[Paragraph], times: int = 300
) -> tuple[list[float], list[float]]:
    """Seconds of one paragraph alone, in process and over HTTP, in turns.

    The client is the standard library's, on one connection: aiohttp adds half a millisecond of its own.
    """
    inside: list[float] = []
    over: list[float] = []
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_SECONDS)) as client:
        for i in range(times):
            paragraph = paragraphs[i % len(paragraphs)]
            started = time.monotonic()
            tagger.tag([paragraph])
            inside.append(time.monotonic() - started)
            body = json.dumps({"paragraphs": [{"id": "a", "text": paragraph.text}]}, ensure_ascii=False).encode()
            started = time.monotonic()
            client.request("POST", "/v1/tag", body, JSON)
            answer = client.getresponse()
            answer.read()
            over.append(time.monotonic() - started)
            assert answer.status == 200, answer.status
    return inside, over


def _clocks() -> tuple[float, float]:
    """Seconds that pass, and those of processor time that this process takes, each from some beginning."""
    return time.monotonic(), time.process_time()


def _share(began: tuple[float, float]) -> float:
    """How much of the processors this process has taken since ``began``, what `_clocks` said then."""
    passed, taken = (now - then for now, then in zip(_clocks(), began, strict=True))
    return round(taken / passed / processors(), 3)


async def _overload(server: Server, arguments: argparse.Namespace) -> dict[str, Any]:
    supply = prepared()
    await _saturated(server, supply, arguments.clients, 2)
    began = _clocks()
    saturation, _ = await _saturated(server, supply, arguments.clients, min(arguments.seconds, 20))
    shares = [_share(began)]
    before = server.worker_mib()
    outcome, lives = Outcome(), Outcome()
    over = False
    lags: list[float] = []
    probing = asyncio.gather(probe(f"{server.url}/livez", 0.1, lambda: over, lives), lag(0.005, lambda: over, lags))
    began = _clocks()
    await open_loop(f"{server.url}/v1/tag", supply, saturation * arguments.factor, arguments.seconds, outcome)
    took = time.monotonic() - began[0]
    shares.append(_share(began))
    over = True
    await probing
    await asyncio.sleep(2)
    _, after_load = await _saturated(server, supply, arguments.clients, 5)
    goodput = len(outcome.seconds.get(200, [])) / took
    found: dict[str, Any] = {
        "saturation, requests a second": round(saturation, 2),
        "arrivals a second": round(saturation * arguments.factor, 2),
        "seconds until all were answered": round(took, 1),
        "answers": dict(counted([outcome])),
        "goodput": round(goodput, 2),
        "goodput of saturation": round(goodput / saturation, 3),
        "200, p50 and p99 s": [round(percentile(outcome.seconds.get(200, []), share), 2) for share in (0.5, 0.99)],
        "429, p99 ms": round(1000 * percentile(outcome.seconds.get(429, []), 0.99), 1),
        "this client itself late, p99 ms: in sending, in coming back to its loop": [
            round(1000 * percentile(values, 0.99), 1) for values in (outcome.late, lags)
        ],
        "this client's share of the processors, saturated and overloaded": shares,
        "livez, p99 ms": round(1000 * percentile(lives.seconds.get(200, []), 0.99), 1),
        "worker MiB before and after": [round(before), round(server.worker_mib())],
        "answers afterwards": dict(counted([after_load])),
    }
    bounds = {
        "goodput >= 0.9": found["goodput of saturation"] >= 0.9,
        "only 200, 429, 504": set(outcome.seconds) <= {200, 429, 504} and not outcome.lost and not outcome.refused,
        "429 p99 <= 50 ms": found["429, p99 ms"] <= 50,
        "livez p99 <= 100 ms": found["livez, p99 ms"] <= 100,
        "memory flat": found["worker MiB before and after"][1] <= 1.2 * found["worker MiB before and after"][0],
    }
    found["failed"] = unmet(bounds)
    return found


if __name__ == "__main__":
    sys.exit(main())
