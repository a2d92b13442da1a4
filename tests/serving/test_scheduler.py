"""The scheduler with a real model: batches across requests, bounds, deadlines, fairness, faults."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policytag.engine import MAX_BATCH_TOKENS
from policytag.tagger import Tagger
from serving.scheduler import DeadlineError, Limits, QueueFullError, Scheduler

ROOMY = Limits(requests=100, tokens=100_000, seconds=20)


class Gate:
    """Stands before a model's engine: notes each batch, and holds it back until it is opened."""

    def __init__(self, tagger: Tagger) -> None:
        self.batches: list[int] = []
        self.arrived = threading.Semaphore(0)
        self.open = threading.Event()
        self.open.set()
        self.error: Exception | None = None
        self._run = tagger.engine.run
        tagger.engine.run = self  # type: ignore[method-assign]

    def __call__(self, windows: Sequence[Sequence[int]]) -> Any:
        self.batches.append(len(windows))
        self.arrived.release()
        assert self.open.wait(20)
        if self.error:
            error, self.error = self.error, None
            raise error
        return self._run(windows)


@pytest.fixture
def tagger(tiny_model: Path) -> Tagger:
    return Tagger.load(tiny_model, threads=1)


@pytest.fixture
def gate(tagger: Tagger) -> Gate:
    return Gate(tagger)


@pytest.fixture
def scheduler(tagger: Tagger, gate: Gate) -> Iterator[Callable[[Limits], Scheduler]]:
    made: list[Scheduler] = []

    def make(limits: Limits = ROOMY) -> Scheduler:
        made.append(Scheduler(lambda: tagger, limits))
        return made[-1]

    yield make
    gate.open.set()
    for one in made:
        one.close()
        assert not one.alive


async def arrived(gate: Gate) -> None:
    """Waits until a batch stands at the gate."""
    assert await asyncio.to_thread(gate.arrived.acquire, True, 20)


def run(test: Callable[[], Awaitable[Any]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))  # type: ignore[arg-type]


TEXTS = ["补贴", "引进人才" * 30, "软件" * 300, "无", "审批" * 7, "药" * 63]


def check_answers(works: Scheduler, tagger: Tagger, requests: int) -> None:
    """Asks for the texts in as many orders at once; each answer must be the tagger's, to the bit."""
    expected, truncated = tagger.logits(TEXTS)

    async def test() -> None:
        orders = [np.random.default_rng(seed).permutation(len(TEXTS)) for seed in range(requests)]
        answers = await asyncio.gather(*(works.score([TEXTS[i] for i in order]) for order in orders))
        for order, answer in zip(orders, answers, strict=True):
            np.testing.assert_array_equal(answer.logits, expected[order])
            np.testing.assert_array_equal(answer.truncated, truncated[order])
            assert answer.tagger is tagger

    run(test)


def test_logits_are_those_of_the_tagger_whatever_else_is_asked(
    scheduler: Callable[[], Scheduler], tagger: Tagger
) -> None:
    check_answers(scheduler(), tagger, requests=20)


def test_several_threads_give_the_logits_of_the_tagger_to_the_bit(tagger: Tagger) -> None:
    works = Scheduler(lambda: tagger, ROOMY, threads=3)
    check_answers(works, tagger, requests=60)
    works.close()
    assert not works.alive


def test_while_one_thread_runs_a_batch_another_begins_the_next(tagger: Tagger, gate: Gate) -> None:
    works = Scheduler(lambda: tagger, ROOMY, threads=2)

    async def test() -> None:
        gate.open.clear()
        asked = [asyncio.create_task(works.score([text])) for text in ("补贴", "人才引进")]
        await arrived(gate)
        await arrived(gate)
        gate.open.set()
        await asyncio.gather(*asked)
        assert gate.batches == [1, 1]

    run(test)
    works.close()


def test_requests_share_batches_and_no_batch_is_too_large(scheduler: Callable[[], Scheduler], gate: Gate) -> None:
    works = scheduler()

    async def test() -> None:
        gate.open.clear()
        first = asyncio.create_task(works.score(["补"]))
        await arrived(gate)
        rest = [asyncio.create_task(works.score(["才" * 62])) for _ in range(40)]
        await asyncio.sleep(0.05)
        gate.open.set()
        await asyncio.gather(first, *rest)
        full, left = divmod(40, MAX_BATCH_TOKENS // 64)
        assert full >= 1
        assert gate.batches == [1, *[MAX_BATCH_TOKENS // 64] * full, *[left] * (left > 0)]

    run(test)


def test_a_full_queue_refuses_and_says_when_to_come_again(scheduler: Callable[[Limits], Scheduler], gate: Gate) -> None:
    for limits in (Limits(requests=2, tokens=1000, seconds=20), Limits(requests=9, tokens=10, seconds=20)):
        works = scheduler(limits)

        async def test(works: Scheduler = works) -> None:
            gate.open.clear()
            kept = [asyncio.create_task(works.score(["补贴"])) for _ in range(2)]
            await asyncio.sleep(0.05)
            with pytest.raises(QueueFullError) as raised:
                await works.score(["补贴"])
            assert raised.value.retry_after >= 1
            urgent = asyncio.create_task(works.score(["补贴"], urgent=True))
            await asyncio.sleep(0.05)
            gate.open.set()
            await asyncio.gather(*kept, urgent)
            await works.score(["补贴"])  # there is place again

        run(test)


def test_a_request_larger_than_the_queue_is_taken_if_it_is_alone(scheduler: Callable[[Limits], Scheduler]) -> None:
    works = scheduler(Limits(requests=2, tokens=10, seconds=20))
    run(lambda: works.score(["补贴" * 30]))


def test_what_is_past_its_deadline_is_not_computed(scheduler: Callable[[Limits], Scheduler], gate: Gate) -> None:
    works = scheduler(Limits(requests=9, tokens=1000, seconds=0.3))

    async def test() -> None:
        gate.open.clear()
        held = asyncio.create_task(works.score(["补贴"]))
        await arrived(gate)
        late = asyncio.create_task(works.score(["人才"]))
        for task in (held, late):
            with pytest.raises(DeadlineError, match=r"not computed within 0\.3 s"):
                await task
        gate.open.set()
        await works.score(["审批"])
        assert gate.batches == [1, 1]  # the one that was begun, and the one after: not the late one

    run(test)


def test_a_cancelled_request_frees_its_place_and_is_not_computed(
    scheduler: Callable[[Limits], Scheduler], gate: Gate
) -> None:
    works = scheduler(Limits(requests=2, tokens=1000, seconds=20))

    async def test() -> None:
        gate.open.clear()
        held = asyncio.create_task(works.score(["补贴"]))
        await arrived(gate)
        gone = asyncio.create_task(works.score(["人才"] * 9))
        await asyncio.sleep(0.05)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        other = asyncio.create_task(works.score(["审批"]))
        await asyncio.sleep(0.05)
        gate.open.set()
        await asyncio.gather(held, other)
        assert gate.batches == [1, 1]

    run(test)


def test_a_short_request_does_not_wait_for_a_long_one(scheduler: Callable[[], Scheduler], gate: Gate) -> None:
    works = scheduler()
    done: list[str] = []

    async def ask(name: str, texts: list[str]) -> None:
        await works.score(texts)
        done.append(name)

    async def test() -> None:
        gate.open.clear()
        long = asyncio.create_task(ask("long", ["人才" * 200] * 200))
        await arrived(gate)
        short = asyncio.create_task(ask("short", ["补贴"]))
        await asyncio.sleep(0.05)
        gate.open.set()
        await asyncio.gather(long, short)
        assert done == ["short", "long"]

    run(test)


def test_a_failing_batch_fails_its_own_requests_and_no_others(scheduler: Callable[[], Scheduler], gate: Gate) -> None:
    works = scheduler()

    async def test() -> None:
        gate.open.clear()
        gate.error = RuntimeError("out of memory")
        failing = asyncio.create_task(works.score(["补贴"]))
        await arrived(gate)
        waiting = asyncio.create_task(works.score(["人才"]))
        await asyncio.sleep(0.05)
        gate.open.set()
        with pytest.raises(RuntimeError, match="out of memory"):
            await failing
        assert (await waiting).logits.shape == (1, 18)

    run(test)


def test_what_was_begun_by_one_model_is_finished_by_it(tiny_model: Path, tagger: Tagger, gate: Gate) -> None:
    other = Tagger.load(tiny_model, threads=1)
    current = [tagger]
    works = Scheduler(lambda: current[0], ROOMY)

    async def test() -> None:
        gate.open.clear()
        begun = asyncio.create_task(works.score(["补贴" * 32] * 100))
        await arrived(gate)
        current[0] = other
        after = asyncio.create_task(works.score(["人才"]))
        await asyncio.sleep(0.05)
        gate.open.set()
        assert (await begun).tagger is tagger
        assert (await after).tagger is other
        assert sum(gate.batches) == 200  # two windows each, all by the one it was begun with

    run(test)
    works.close()
