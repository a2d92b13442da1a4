"""What the service loses when it is stopped, killed or given another model, and what odd text does to it.

    python -m bench.http_faults sigterm      ends it under load, again and again: nothing accepted is lost
    python -m bench.http_faults kills        kills its worker under load: only what was in flight is lost
    python -m bench.http_faults promotions   puts another model in its place under load: no answer mixes two
    python -m bench.http_faults neighbours   the same paragraph alone and in any company: the same answer
    python -m bench.http_faults unicode      paragraphs of random characters: no 5xx

Prints figures as JSON; the last key, ``failed``, names the bounds that did not hold. Exit code 1 if there are any.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.http_load import Outcome, bodies, closed_loop, counted, percentile, post, session, texts, unmet
from bench.http_server import serving
from policytag import artifact
from policytag.artifact import DEFAULT_MODEL
from training.exchange import exchange

CLIENTS = 16


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=tuple(_MEASURES))
    parser.add_argument("--model", type=Path, default=Path(DEFAULT_MODEL))
    parser.add_argument("--times", type=int, help="how often, or how many paragraphs")
    arguments = parser.parse_args(argv)
    measure, times = _MEASURES[arguments.what]
    found = asyncio.run(measure(arguments.model, arguments.times or times))
    print(json.dumps(found, indent=1, ensure_ascii=False))
    return bool(found["failed"])


async def sigterm(model: Path, times: int) -> dict[str, Any]:
    """Each request has a connection of its own: one that is kept open may be closed as it is used again."""
    outcomes: list[Outcome] = []
    codes: set[int] = set()
    draw = random.Random(0)
    for number in range(times):
        with serving(model) as server:
            outcome = Outcome()
            load = asyncio.create_task(
                closed_loop(
                    f"{server.url}/v1/tag",
                    bodies(texts(), 8, number),
                    CLIENTS,
                    lambda process=server.process: process.poll() is not None,
                    outcome,
                    keep_alive=False,
                )
            )
            await asyncio.sleep(1 + draw.random())
            server.process.send_signal(signal.SIGTERM)
            await load
            codes.add(server.process.returncode)
            outcomes.append(outcome)
    total = counted(outcomes)
    lost = total.pop("lost")
    return {
        "times": times,
        "answers": dict(total),
        "lost": lost,
        "exit codes": sorted(codes),
        "failed": unmet({"nothing lost": not lost, "exit 0": codes == {0}}),
    }


async def kills(model: Path, times: int) -> dict[str, Any]:
    outcome = Outcome()
    killed: list[float] = []
    back: list[float] = []
    over = False
    with serving(model) as server:
        supply = bodies(texts(), 8)
        load = asyncio.create_task(
            closed_loop(f"{server.url}/v1/tag", supply, CLIENTS, lambda: over, outcome, traced=True)
        )
        for _ in range(times):
            await asyncio.sleep(1)
            killed.append(time.monotonic())
            server.kill_worker()
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.wait_ready)
            back.append(time.monotonic())
        over = True
        await load
    in_flight = [lost.in_flight(killed, back) for lost in outcome.lost]
    took = [again - at for at, again in zip(killed, back, strict=True)]
    return {
        "times": times,
        "answers": outcome.statuses(),
        "lost in flight": sum(in_flight),
        "lost otherwise": len(in_flight) - sum(in_flight),
        "refused": outcome.refused,
        "seconds until ready again, p50 and most": [round(percentile(took, 0.5), 1), round(max(took), 1)],
        "failed": unmet({"only in flight lost": all(in_flight), "nothing refused": not outcome.refused}),
    }


async def promotions(model: Path, times: int) -> dict[str, Any]:
    """Two models that differ in temperature: whose score it is can be told from the score."""
    with tempfile.TemporaryDirectory() as scratch:
        current, other = Path(scratch) / "current", Path(scratch) / "other"
        shutil.copytree(model, current)
        shutil.copytree(model, other)
        versions = {artifact.load(current).manifest.version: 1.0, _cooler(other): 2.0}
        return await _promoting(current, other, versions, times)


def _cooler(folder: Path) -> str:
    """Doubles a model's temperature and seals it anew; gives its version."""
    manifest = artifact.load(folder).manifest
    path = folder / "calibration.json"
    calibration = json.loads(path.read_text(encoding="utf-8"))
    calibration["temperature"] *= 2
    path.write_text(json.dumps(calibration), encoding="utf-8")
    about = {key: getattr(manifest, key) for key in ("taxonomy", "encoder", "data", "recipe", "metrics", "versions")}
    return artifact.seal(folder, **about).version


async def _promoting(current: Path, other: Path, versions: dict[str, float], times: int) -> dict[str, Any]:
    text = texts()[3]
    body = json.dumps({"paragraphs": [{"id": "a", "text": text}] * 8, "scores": True}, ensure_ascii=False).encode()
    seen: dict[str, set[str]] = {version: set() for version in versions}
    outcome = Outcome()
    over = False

    def check(content: bytes) -> None:
        answer = json.loads(content)
        scores = {json.dumps({k: round(v, 2) for k, v in r["scores"].items()}) for r in answer["results"]}
        seen[answer["model"]["version"]] |= scores

    changed = 0
    with serving(current) as server:
        load = asyncio.create_task(
            closed_loop(f"{server.url}/v1/tag", _same(body), 4, lambda: over, outcome, check=check)
        )
        for _ in range(times):
            before = await asyncio.to_thread(_version, server.url)
            old = current.with_name("old")
            exchange(other, current, old)
            old.rename(other)
            end = time.monotonic() + 30
            while (await asyncio.to_thread(_version, server.url)) == before and time.monotonic() < end:
                await asyncio.sleep(0.05)
            changed += (await asyncio.to_thread(_version, server.url)) != before
        over = True
        await load
    mixed = sum(max(len(scores) - 1, 0) for scores in seen.values()) + len(set.intersection(*seen.values()))
    bounds = {
        "no answer mixes models": mixed == 0,
        "all picked up": changed == times,
        "nothing dropped": set(outcome.seconds) == {200} and not outcome.lost and not outcome.refused,
    }
    return {
        "times": times,
        "picked up": changed,
        "answers": dict(counted([outcome])),
        "mixed": mixed,
        "failed": unmet(bounds),
    }


def _same(body: bytes) -> Iterator[bytes]:
    while True:
        yield body


def _version(url: str) -> str:
    import urllib.request

    with urllib.request.urlopen(f"{url}/v1/model", timeout=20) as answer:
        return json.load(answer)["version"]


async def neighbours(model: Path, times: int) -> dict[str, Any]:
    chosen = random.Random(0).sample(texts(), min(times, len(texts())))
    rounds: list[list[list[str]]] = [[[text] for text in chosen]]
    for seed, size in enumerate((2, 16, 64, 256, 16, 7)):
        shuffled = random.Random(seed).sample(chosen, len(chosen))
        rounds.append([shuffled[i : i + size] for i in range(0, len(shuffled), size)])
    answers: dict[str, list[dict[str, Any]]] = {}
    outcome = Outcome()
    with serving(model) as server:
        async with session() as client:

            async def ask(batch: list[str]) -> None:
                request = {"paragraphs": [{"id": text[:200] or "-", "text": text} for text in batch], "scores": True}
                body = json.dumps(request, ensure_ascii=False).encode()
                content = await post(client, f"{server.url}/v1/tag", body, outcome)
                assert content is not None, outcome
                for text, result in zip(batch, json.loads(content)["results"], strict=True):
                    answers.setdefault(text, []).append(result)

            for number, batches in enumerate(rounds):
                if number:  # in any company: all at once
                    await asyncio.gather(*map(ask, batches))
                else:
                    for batch in batches:
                        await ask(batch)
    gaps = [
        abs(one["scores"][label] - other["scores"][label])
        for one, *others in answers.values()
        for other in others
        for label in one["scores"]
    ]
    tags = sum(_ids(one) != _ids(other) for one, *others in answers.values() for other in others)
    return {
        "paragraphs": len(answers),
        "answers to each": len(rounds),
        "largest difference of a score": max(gaps),
        "answers with other tags": tags,
        "failed": unmet({"scores within 1e-4": max(gaps) <= 1e-4 + 1e-9, "same tags": not tags}),
    }


def _ids(result: dict[str, Any]) -> set[str]:
    return {tag["id"] for key in ("instruments", "industries") for tag in result[key]}


async def unicode(model: Path, times: int) -> dict[str, Any]:
    draw = random.Random(0)
    outcome = Outcome()
    left = times
    items: list[int] = []

    def supply() -> Iterator[bytes]:
        nonlocal left
        while True:
            count = min(256, left)
            left -= count
            chosen = [{"id": str(i), "text": _random_text(draw)} for i in range(max(count, 1))]
            yield json.dumps({"paragraphs": chosen}, ensure_ascii=bool(draw.getrandbits(1))).encode()

    def check(content: bytes) -> None:
        items.append(sum(("error" in result) != ("instruments" in result) for result in json.loads(content)["results"]))

    with serving(model) as server:
        await closed_loop(f"{server.url}/v1/tag", supply(), 4, lambda: left <= 0, outcome, check=check)
    return {
        "paragraphs": sum(items),
        "answers": dict(counted([outcome])),
        "failed": unmet({"only 200": set(outcome.seconds) == {200} and not outcome.lost, "all": sum(items) == times}),
    }


def _random_text(draw: random.Random) -> str:
    """Up to 40 code points from all planes, but for surrogates, which UTF-8 has not."""
    planes: Sequence[Callable[[], int]] = (
        lambda: draw.randrange(0x80),
        lambda: draw.randrange(0x4E00, 0xA000),
        lambda: draw.randrange(0x300),
        lambda: draw.randrange(0xE000, 0x10000),
        lambda: draw.randrange(0x10000, 0x110000),
        lambda: draw.randrange(0xD800),
    )
    return "".join(chr(draw.choice(planes)()) for _ in range(draw.randrange(41)))


_MEASURES = {
    "sigterm": (sigterm, 50),
    "kills": (kills, 30),
    "promotions": (promotions, 200),
    "neighbours": (neighbours, 150),
    "unicode": (unicode, 100_000),
}

if __name__ == "__main__":
    sys.exit(main())
