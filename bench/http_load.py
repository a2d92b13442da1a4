"""Requests against a server, closed loop (clients that wait) and open loop (arrivals that do not). Loopback only."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import aiohttp

from policytag.segmentation import segment

TIMEOUT_SECONDS = 150
SIZE = 16
"""Paragraphs a request, where nothing else is said."""
JSON = {"Content-Type": "application/json"}


class Lost(NamedTuple):
    """A request that got no answer.

    Attributes:
        sent: When, on the monotonic clock.
        failed: When.
        kept: Whether it was sent on a connection that an earlier request had opened; where the session is traced.
    """

    sent: float
    failed: float
    kept: bool

    def in_flight(self, killed: Sequence[float], back: Sequence[float]) -> bool:
        """Whether it was lost with a worker that died.

        So it is if it was under way at that moment, or was put on one of the dead worker's connections before the end
        of that connection was seen: a client that has just been answered asks again without looking, and nobody but the
        dead worker could have read it. On a new connection it would wait for the next worker.

        Args:
            killed: When the workers were killed, ascending, on the monotonic clock.
            back: When the next one was ready, for each.
        """
        return any(
            at <= self.failed and (self.sent <= at or (self.kept and self.sent < again))
            for at, again in zip(killed, back, strict=True)
        )


@dataclass(slots=True)
class Outcome:
    """What came of many requests.

    Attributes:
        seconds: Latency of each answered request, by status.
        refused: Requests whose connection was not taken.
        lost: Requests that were sent and got no answer.
        late: How many seconds after it was due each request of an open loop was begun.
    """

    seconds: dict[int, list[float]] = field(default_factory=dict)
    refused: int = 0
    lost: list[Lost] = field(default_factory=list)
    late: list[float] = field(default_factory=list)

    def statuses(self) -> dict[int, int]:
        return {status: len(found) for status, found in sorted(self.seconds.items())}


def percentile(values: Sequence[float], share: float) -> float:
    """``percentile([1, 2, 3, 4], 0.5)`` -> 3; 0 of nothing."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] if values else 0.0


def texts(folder: Path = Path("labels/corpus")) -> list[str]:
    """The paragraphs of the sample documents that are tagged."""
    documents = [segment(path.read_text(encoding="utf-8"), path.name) for path in sorted(folder.glob("*.txt"))]
    return [paragraph.text for d in documents for paragraph in d.paragraphs if paragraph.kind != "furniture"]


def bodies(paragraphs: Sequence[str], size: int, seed: int = 0) -> Iterator[bytes]:
    """Endless bodies of ``size`` paragraphs, drawn without end from ``paragraphs`` in random order."""
    draw = random.Random(seed)
    while True:
        chosen = [{"id": str(i), "text": draw.choice(paragraphs)} for i in range(size)]
        yield json.dumps({"paragraphs": chosen}, ensure_ascii=False).encode()


def prepared(number: int = 512) -> Iterator[bytes]:
    """Endless bodies of `SIZE` paragraphs, ``number`` different ones made beforehand: a client that shares the
    processors with the service is to be light.
    """
    return cycle(list(islice(bodies(texts(), SIZE), number)))


def session(*, traced: bool = False, **options: object) -> aiohttp.ClientSession:
    """A client without a limit on connections.

    Args:
        traced: Whether `Lost.kept` is found out, which costs the client time.
        options: Of the connector.
    """
    tracing = aiohttp.TraceConfig()
    tracing.on_connection_reuseconn.append(_note_kept)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, **options),  # type: ignore[arg-type]
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
        headers=JSON,
        trace_configs=[tracing] if traced else [],
    )


async def _note_kept(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.append(True)


async def post(client: aiohttp.ClientSession, url: str, body: bytes, outcome: Outcome) -> bytes | None:
    """One request; what came of it goes into ``outcome``. Gives the body of a 200."""
    started = time.monotonic()
    kept: list[bool] = []
    try:
        async with client.post(url, data=body, trace_request_ctx=kept) as answer:
            content = await answer.read()
    except aiohttp.ClientConnectorError:
        outcome.refused += 1
        return None
    except (aiohttp.ClientError, TimeoutError, OSError):
        outcome.lost.append(Lost(started, time.monotonic(), bool(kept)))
        return None
    outcome.seconds.setdefault(answer.status, []).append(time.monotonic() - started)
    return content if answer.status == 200 else None


async def closed_loop(
    url: str,
    supply: Iterator[bytes],
    clients: int,
    until: Callable[[], bool],
    outcome: Outcome,
    *,
    check: Callable[[bytes], None] | None = None,
    keep_alive: bool = True,
    traced: bool = False,
) -> None:
    """``clients`` clients, each of which asks again as soon as it is answered, until ``until()``."""

    async def work() -> None:
        async with session(traced=traced, force_close=not keep_alive) as client:
            while not until():
                failed = outcome.refused + len(outcome.lost)
                content = await post(client, url, next(supply), outcome)
                if content is not None and check:
                    check(content)
                if outcome.refused + len(outcome.lost) > failed:
                    await asyncio.sleep(0.02)

    await asyncio.gather(*(work() for _ in range(clients)))


async def open_loop(url: str, supply: Iterator[bytes], rate: float, seconds: float, outcome: Outcome) -> None:
    """Requests that arrive at random, ``rate`` a second on average, whether or not the others are answered."""
    draw = random.Random(1)
    pending: set[asyncio.Task[bytes | None]] = set()
    async with session() as client:
        at = end = time.monotonic()
        end += seconds
        while at < end:
            at += draw.expovariate(rate)
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            outcome.late.append(time.monotonic() - at)
            task = asyncio.create_task(post(client, url, next(supply), outcome))
            pending.add(task)
            task.add_done_callback(pending.discard)
        await asyncio.gather(*pending)


async def lag(every: float, until: Callable[[], bool], found: list[float]) -> None:
    """How many seconds later than asked for this loop comes back: so late, at most, are its own measurements."""
    while not until():
        asked = time.monotonic() + every
        await asyncio.sleep(every)
        found.append(time.monotonic() - asked)


async def probe(url: str, every: float, until: Callable[[], bool], outcome: Outcome) -> None:
    """``GET`` every so many seconds, one at a time."""
    async with session() as client:
        while not until():
            started = time.monotonic()
            try:
                async with client.get(url) as answer:
                    await answer.read()
                outcome.seconds.setdefault(answer.status, []).append(time.monotonic() - started)
            except (aiohttp.ClientError, TimeoutError, OSError):
                outcome.lost.append(Lost(started, time.monotonic(), False))
            await asyncio.sleep(max(0.0, started + every - time.monotonic()))


def counted(outcomes: Sequence[Outcome]) -> Counter[str]:
    """Adds up statuses, refused and lost."""
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total.update({str(status): count for status, count in outcome.statuses().items()})
        total.update(refused=outcome.refused, lost=len(outcome.lost))
    return total


def unmet(bounds: Mapping[str, bool]) -> list[str]:
    """The names of the bounds that do not hold."""
    return [name for name, held in bounds.items() if not held]
