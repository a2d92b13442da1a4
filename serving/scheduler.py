"""Texts of many requests through the model: a bounded queue, batches by tokens across requests, inference threads.

The event loop admits and waits; each thread encodes, takes a batch and runs it, one encoding while another runs. Who is
due first is served first: a request is due when it came plus the time its own text takes, so that a short one does not
wait behind a long one, nor a long one for ever. A request whose client left or whose deadline passed is dropped where
it is; what is left of it is not computed.

Knows neither HTTP nor tags.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from policytag.tagger import Tagger
from serving import metrics
from serving.batching import Scoring, Window, encode_ahead, give_back, run_batch, take_batch

T = TypeVar("T")

logger = logging.getLogger(__name__)

MAX_RETRY_SECONDS = 60


class QueueFullError(Exception):
    """There is no place for a request.

    Attributes:
        retry_after: Seconds after which there may be, a whole number above 0.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the queue is full; try again in {retry_after} s")
        self.retry_after = retry_after


class DeadlineError(Exception):
    """A request was not computed before its deadline."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the queue.

    Attributes:
        requests: Requests that wait or are computed.
        tokens: Their tokens, estimated from above by characters; a longer request is taken if it is the only one.
        seconds: A request's deadline, from when it is admitted.
    """

    requests: int
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Scored:
    """What one model says of ``n`` texts.

    Attributes:
        tagger: The model; all logits are its.
        logits: Uncalibrated, shape ``(n, L) float32``.
        truncated: Which texts were longer than the model reads, shape ``(n,) bool``.
    """

    tagger: Tagger
    logits: NDArray[np.float32]
    truncated: NDArray[np.bool_]


@dataclass(slots=True, eq=False)
class _Job:
    """Something that waits; ``dropped`` once nobody waits for it any more."""

    work: Scoring | Callable[[], Any]
    tokens: int
    done: asyncio.Future[Any]
    due: float = 0.0
    dropped: bool = False
    called: bool = False

    @property
    def waits(self) -> bool:
        """Whether there is something left of it to begin."""
        if self.dropped or self.done.done():
            return False
        return not self.work.all_taken if isinstance(self.work, Scoring) else not self.called


class Scheduler:
    """The queue and the threads that work it off.

    Args:
        current: Gives the model that new requests are computed by.
        limits: Bounds of the queue.
        threads: Batches computed at once.
    """

    def __init__(self, current: Callable[[], Tagger], limits: Limits, threads: int = 1) -> None:
        self.limits = limits
        self._current = current
        self._jobs: list[_Job] = []
        self._tokens = 0
        self._tokens_a_second = 10_000.0  # a guess until the first batches are measured
        self._changed = threading.Condition()  # its lock: jobs, tokens, what waits and runs; held for a moment only
        self._choosing = threading.Lock()  # one thread encodes and takes at a time; the event loop never waits for it
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"inference {number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether an inference thread runs."""
        return any(thread.is_alive() for thread in self._threads)

    def check_room(self, tokens: int) -> None:
        """Asks whether a request of so many tokens would be admitted now.

        Raises:
            QueueFullError: If there is no place.
        """
        full = len(self._jobs) >= self.limits.requests or self._tokens + tokens > self.limits.tokens
        if full and self._jobs:
            wait = math.ceil(self._tokens / self._tokens_a_second)
            raise QueueFullError(min(max(wait, 1), MAX_RETRY_SECONDS))

    async def score(self, texts: Sequence[str], *, tagger: Tagger | None = None, urgent: bool = False) -> Scored:
        """The logits of texts, all by one model. Cancelling it drops what is not yet computed.

        Args:
            texts: At least one.
            tagger: The model; the current one if not given.
            urgent: Goes first and is admitted even if the queue is full; for probes.

        Raises:
            QueueFullError: If there is no place.
            DeadlineError: If the deadline passed.
        """
        scoring = Scoring.of(texts, tagger or self._current())
        await self._waited(scoring, scoring.tokens, urgent)
        return Scored(scoring.tagger, scoring.logits, scoring.truncated)

    async def call(self, function: Callable[[], T], tokens: int) -> T:
        """Whatever else asks a model, in an inference thread, in one go.

        Args:
            tokens: About how many it asks about.

        Raises:
            QueueFullError: If there is no place.
            DeadlineError: If the deadline passed.
        """
        return await self._waited(function, tokens)

    @contextlib.asynccontextmanager
    async def deadline(self) -> AsyncIterator[None]:
        """Ends what is done in it when a request's time is over; for requests that ask several times.

        Raises:
            DeadlineError: Then.
        """
        try:
            async with asyncio.timeout(self.limits.seconds):
                yield
        except TimeoutError:
            raise DeadlineError(f"not computed within {self.limits.seconds:g} s") from None

    def close(self) -> None:
        """Ends the threads once the queue is empty."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    async def _waited(self, work: Scoring | Callable[[], Any], tokens: int, urgent: bool = False) -> Any:
        job = _Job(work, tokens, asyncio.get_running_loop().create_future())
        self._admit(job, urgent)
        try:
            async with self.deadline():
                return await job.done
        finally:
            self._release(job)

    def _admit(self, job: _Job, urgent: bool) -> None:
        with self._changed:
            if not urgent:
                self.check_room(job.tokens)
                job.due = time.monotonic() + job.tokens / self._tokens_a_second
            self._jobs.append(job)
            self._count(job.tokens)
            self._changed.notify()

    def _release(self, job: _Job) -> None:
        with self._changed:
            job.dropped = True
            self._jobs.remove(job)
            self._count(-job.tokens)

    def _count(self, tokens: int) -> None:
        self._tokens += tokens
        metrics.QUEUE_REQUESTS.set(len(self._jobs))
        metrics.QUEUE_TOKENS.set(self._tokens)

    def _work(self) -> None:
        while self._wait():
            try:
                begin = self._choose()
                if begin:
                    begin()
            except Exception:
                # Whatever it was, it must not end the thread: the jobs fail, the next ones are tried.
                logger.exception("a batch failed")

    def _wait(self) -> bool:
        """Waits until there is something to begin; False if there is nothing and nothing will come."""
        with self._changed:
            while not any(job.waits for job in self._jobs):
                if self._closed:
                    return False
                self._changed.wait()
            return True

    def _choose(self) -> Callable[[], None] | None:
        """What is to be done for the job that is due first; None if another thread does it already."""
        with self._choosing:
            with self._changed:
                jobs = sorted((job for job in self._jobs if job.waits), key=lambda job: job.due)
            if not jobs:
                return None
            lead = jobs[0].work
            if isinstance(lead, Scoring):
                return self._take([job for job in jobs if _is_of(job.work, lead.tagger)])
            jobs[0].called = True
            return partial(_call, jobs[0], lead)

    def _take(self, jobs: Sequence[_Job]) -> Callable[[], None]:
        """Encodes for jobs of one model, by due time, and takes a batch of them, which is to be run."""
        sharing = {id(job.work): job for job in jobs}
        scorings = [job.work for job in jobs if isinstance(job.work, Scoring)]
        try:
            encode_ahead(scorings)
            with self._changed:
                batch = take_batch(scorings, len(self._threads))
                if any(job.waits for job in jobs):
                    self._changed.notify()
        except Exception as error:
            _fail(jobs[0], error)
            raise
        return partial(self._run, batch, [sharing[key] for key in {id(window.scoring): None for window in batch}])

    def _run(self, batch: Sequence[Window], affected: Sequence[_Job]) -> None:
        started = time.monotonic()
        try:
            logits = run_batch(batch)
        except Exception as error:
            for job in affected:
                _fail(job, error)
            raise
        tokens = sum(len(window.ids) for window in batch)
        rate = len(self._threads) * tokens / max(time.monotonic() - started, 1e-6)
        with self._changed:
            give_back(batch, logits)
            finished = [job for job in affected if isinstance(job.work, Scoring) and job.work.finished]
            self._tokens_a_second += 0.1 * (rate - self._tokens_a_second)
        for job in finished:
            _settle(job, partial(job.done.set_result, None))
        metrics.BATCH_TOKENS.observe(tokens)


def _is_of(work: Scoring | Callable[[], Any], tagger: Tagger) -> bool:
    return isinstance(work, Scoring) and work.tagger is tagger


def _call(job: _Job, function: Callable[[], Any]) -> None:
    try:
        result = function()
    except Exception as error:
        _fail(job, error)
    else:
        _settle(job, partial(job.done.set_result, result))


def _fail(job: _Job, error: Exception) -> None:
    _settle(job, partial(job.done.set_exception, error))


def _settle(job: _Job, settle: Callable[[], None]) -> None:
    job.dropped = True
    loop = job.done.get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(lambda: None if job.done.done() else settle())
