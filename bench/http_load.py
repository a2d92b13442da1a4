"""Requests against a server, closed loop (clients that wait) and open loop (arrivals that do not). Loopback only."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from policytag.segmentation import segment

TIMEOUT_SECONDS = 150
JSON = {"Content-Type": "application/json"}


@dataclass(slots=True)
class Outcome:
    """What came of many requests.

    Attributes:
        seconds: Latency of each answered request, by status.
        refused: Requests whose connection was not taken.
        lost: Requests that were sent and got no answer.
        lost_at: When each of these was sent and when it failed, on the monotonic clock.
        late: How many seconds after it was due each request of an open loop was begun.
    """

    seconds: dict[int, list[float]] = field(default_factory=dict)
    refused: int = 0
    lost: int = 0
    lost_at: list[tuple[float, float]] = field(default_factory=list)
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


def session(**options: object) -> aiohttp.ClientSession:
    """A client without a limit on connections."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, **options),  # type: ignore[arg-type]
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
        headers=JSON,
    )


async def post(client: aiohttp.ClientSession, url: str, body: bytes, outcome: Outcome) -> bytes | None:
    """One request; what came of it goes into ``outcome``. Gives the body of a 200."""
    started = time.monotonic()
    try:
        async with client.post(url, data=body) as answer:
            content = await answer.read()
    except aiohttp.ClientConnectorError:
        outcome.refused += 1
        return None
    except (aiohttp.ClientError, TimeoutError, OSError):
        outcome.lost += 1
        outcome.lost_at.append((started, time.monotonic()))
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
) -> None:
    """``clients`` clients, each of which asks again as soon as it is answered, until ``until()``."""

    async def work() -> None:
        async with session(force_close=not keep_alive) as client:
            while not until():
                refused = outcome.refused + outcome.lost
                content = await post(client, url, next(supply), outcome)
                if content is not None and check:
                    check(content)
                if outcome.refused + outcome.lost > refused:
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
                outcome.lost += 1
            await asyncio.sleep(max(0.0, started + every - time.monotonic()))


def counted(outcomes: Sequence[Outcome]) -> Counter[str]:
    """Adds up statuses, refused and lost."""
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total.update({str(status): count for status, count in outcome.statuses().items()})
        total.update(refused=outcome.refused, lost=outcome.lost)
    return total


def unmet(bounds: Mapping[str, bool]) -> list[str]:
    """The names of the bounds that do not hold."""
    return [name for name, held in bounds.items() if not held]
