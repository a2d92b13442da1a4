"""Items to lines of JSON: the part of a run that the model does, here or in worker processes. Knows no run folder."""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from policytag.errors import PolicytagError
from policytag.readers import Rejected
from policytag.tagger import Tagger
from policytag.text import Paragraph
from serving.rows import dump, furniture_row, rejected_row, tagged_row

CHUNK_ITEMS = 512
"""Items tagged in one call: enough to sort by length, few enough to keep memory flat."""
CHUNK_CHARS = 4 * 1024 * 1024
"""Characters from which a chunk is closed before it is full."""
AHEAD = 2
"""Chunks that wait for each worker."""


@dataclass(frozen=True, slots=True)
class RowOptions:
    """What the rows carry.

    Attributes:
        text: The paragraph's text.
        scores: Every label's probability.
    """

    text: bool = True
    scores: bool = False


@dataclass(frozen=True, slots=True)
class Tagged:
    """The rows of a chunk, one for every item, in order, as lines of JSON."""

    lines: bytes
    ok: int
    furniture: int
    rejected: int


def tag_chunk(tagger: Tagger, chunk: Sequence[Paragraph | Rejected], options: RowOptions) -> Tagged:
    """One line for every item, in order."""
    wanted = [item for item in chunk if isinstance(item, Paragraph) and item.kind != "furniture"]
    predictions = iter(tagger.tag(wanted))
    lines: list[bytes] = []
    rejected = 0
    for item in chunk:
        if isinstance(item, Rejected):
            rejected += 1
            row = rejected_row(item)
        elif item.kind == "furniture":
            row = furniture_row(item, tagger.version, text=options.text)
        else:
            row = tagged_row(next(predictions), tagger.taxonomy, text=options.text, scores=options.scores)
        lines.append(dump(row))
    return Tagged(b"".join(lines), len(wanted), len(chunk) - len(wanted) - rejected, rejected)


class Here:
    """Tags in this process."""

    def __init__(self, tagger: Tagger, options: RowOptions) -> None:
        self._tagger, self._options = tagger, options

    def map(self, chunks: Iterable[Sequence[Paragraph | Rejected]]) -> Iterator[Tagged]:
        """The rows of each chunk, in order."""
        return (tag_chunk(self._tagger, chunk, self._options) for chunk in chunks)


class Workers:
    """Tags in other processes, each with a model of its own and one thread. Use it as a context manager.

    Args:
        model: The model folder.
        count: Processes.
    """

    def __init__(self, model: Path, count: int, options: RowOptions) -> None:
        self._count = count
        self._pool = ProcessPoolExecutor(
            count, multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(str(model), options)
        )

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, chunks: Iterable[Sequence[Paragraph | Rejected]]) -> Iterator[Tagged]:
        """The rows of each chunk, in order; no more chunks are read than the workers will soon want.

        Raises:
            PolicytagError: If a worker died.
        """
        waiting: collections.deque[Future[Tagged]] = collections.deque()
        try:
            for chunk in chunks:
                waiting.append(self._pool.submit(_work, list(chunk)))
                if len(waiting) > AHEAD * self._count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise PolicytagError(
                "a worker process died, perhaps of too little memory; go on with --resume and fewer --workers"
            ) from None


_worker: tuple[Tagger, RowOptions] | None = None


def _start_worker(model: str, options: RowOptions) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that gives the work
    _worker = Tagger.load(Path(model), threads=1), options


def _work(chunk: Sequence[Paragraph | Rejected]) -> Tagged:
    assert _worker is not None
    return tag_chunk(_worker[0], chunk, _worker[1])


def warm(workers: Workers) -> None:
    """Has every worker load its model, so that one that cannot fails before the run begins."""
    with contextlib.suppress(StopIteration):
        next(workers.map([[]]))
