"""Texts of many requests through the model: a bounded queue, batches by tokens across requests, one inference thread.

The event loop admits and waits; a thread encodes, batches and runs. Who is due first is served first: a request is due
when it came plus the time its own text takes, so that a short one does not wait behind a long one, nor a long one for
ever. A request whose client left or whose deadline passed is dropped where it is; what is left of it is not computed.

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
from serving.batching import Scoring, Window, encode_ahead, run_batch, take_batch

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


class Scheduler:
    """The queue and the thread that works it off.

    Args:
        current: Gives the model that new requests are computed by.
        limits: Bounds of the queue.
    """

    def __init__(self, current: Callable[[], Tagger], limits: Limits) -> None:
        self.limits = limits
        self._current = current
        self._jobs: list[_Job] = []
        self._tokens = 0
        self._tokens_a_second = 10_000.0  # a guess until the first batches are measured
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the inference thread runs."""
        return self._thread.is_alive()

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
        """Whatever else asks a model, in the inference thread, in one go.

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
        """Ends the thread once the queue is empty."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

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
            full = len(self._jobs) >= self.limits.requests or self._tokens + job.tokens > self.limits.tokens
            if full and self._jobs and not urgent:
                wait = math.ceil(self._tokens / self._tokens_a_second)
                raise QueueFullError(min(max(wait, 1), MAX_RETRY_SECONDS))
            if not urgent:
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
        while True:
            with self._changed:
                while not (jobs := [job for job in self._jobs if not (job.dropped or job.done.done())]):
                    if self._closed:
                        return
                    self._changed.wait()
            try:
                self._step(sorted(jobs, key=lambda job: job.due))
            except Exception:
                # Whatever it was, it must not end the thread: the jobs fail, the next ones are tried.
                logger.exception("a batch failed")

    def _step(self, jobs: Sequence[_Job]) -> None:
        """Encodes and runs one batch for the job that is due first, filled with windows of the others.

        Args:
            jobs: At least one, none finished, by due time.
        """
        lead = jobs[0].work
        if not isinstance(lead, Scoring):
            _call(jobs[0], lead)
            return
        sharing = {
            id(job.work): job for job in jobs if isinstance(job.work, Scoring) and job.work.tagger is lead.tagger
        }
        scorings = [job.work for job in sharing.values() if isinstance(job.work, Scoring)]
        affected = [jobs[0]]
        try:
            encode_ahead(scorings)
            batch = take_batch(lead, [window for scoring in scorings for window in scoring.windows])
            affected = [sharing[key] for key in {id(window.scoring): None for window in batch}]
            self._run(batch)
        except Exception as error:
            for job in affected:
                _fail(job, error)
            raise
        for job in affected:
            if isinstance(job.work, Scoring) and job.work.all_taken:
                _settle(job, partial(job.done.set_result, None))

    def _run(self, batch: Sequence[Window]) -> None:
        started = time.monotonic()
        run_batch(batch)
        tokens = sum(len(window.ids) for window in batch)
        rate = tokens / max(time.monotonic() - started, 1e-6)
        self._tokens_a_second += 0.1 * (rate - self._tokens_a_second)
        metrics.BATCH_TOKENS.observe(tokens)


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
