"""The items of a run in chunks, each with the place after it, so that a run can be taken up there. Knows no model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from policytag.readers import Item, Reading, ReadOptions, Rejected, Row, Source, read_source
from policytag.readers.rows import shown
from policytag.text import Paragraph
from serving.tagging import chunks as chunk_limits
from serving.tagging.folder import Progress
from serving.tagging.seen import SeenIds


@dataclass(slots=True)
class Chunk:
    """Some items, and where the run stands after them.

    Attributes:
        files: Entries of the sources that end in it.
        source: The source that comes next.
        items_done: Items of it that are done.
        rejected_items: How many of these are rejected.
        bytes: Bytes of the inputs that are read.
    """

    items: list[Paragraph | Rejected] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    source: int = 0
    items_done: int = 0
    rejected_items: int = 0
    bytes: int = 0


class ChunkReader:
    """Reads sources from a place on.

    Args:
        sources: Each with its document's name.
        sizes: Bytes of each, for the progress bar.
        ids: Where ids are looked up; a second row with the same id is rejected.
        start: Where to begin.
        told: Is given each rejected item.
    """

    def __init__(
        self,
        sources: Sequence[tuple[Source, str]],
        sizes: Sequence[int],
        options: ReadOptions,
        ids: SeenIds,
        start: Progress,
        told: Callable[[Rejected], object],
    ) -> None:
        self._sources, self._sizes, self._options, self._ids, self._told = sources, sizes, options, ids, told
        self._chunk = Chunk(
            source=start.source,
            items_done=start.items,
            rejected_items=start.rejected_items,
            bytes=sum(sizes[: start.source]),
        )
        self._chars = 0

    @property
    def start_bytes(self) -> int:
        """Bytes of the sources before the first that is read."""
        return self._chunk.bytes

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks of `chunks.CHUNK_ITEMS` items, the last one shorter; their bounds depend on the inputs alone."""
        for number in range(self._chunk.source, len(self._sources)):
            yield from self._read(number)
        yield self._chunk

    def _read(self, number: int) -> Iterator[Chunk]:
        source, doc = self._sources[number]
        reading = read_source(source, doc, self._options)
        done_before = sum(self._sizes[:number])
        skipped = self._chunk.items_done
        for place, item in enumerate(reading):
            if place < skipped:
                continue
            self._add(self._checked(item, number, doc))
            self._chunk.bytes = done_before + min(reading.at, self._sizes[number])
            if self._full():
                yield self._next()
        self._end(number, reading, done_before)

    def _end(self, number: int, reading: Reading, done_before: int) -> None:
        chunk = self._chunk
        entry = {"doc": reading.doc, "path": reading.source, "format": reading.format, "encoding": reading.encoding}
        chunk.files.append(entry | {"items": chunk.items_done, "rejected": chunk.rejected_items})
        chunk.source, chunk.items_done, chunk.rejected_items = number + 1, 0, 0
        chunk.bytes = done_before + self._sizes[number]

    def _add(self, item: Paragraph | Rejected) -> None:
        chunk = self._chunk
        chunk.items.append(item)
        chunk.items_done += 1
        if isinstance(item, Rejected):
            chunk.rejected_items += 1
            self._told(item)
        else:
            self._chars += len(item.text)

    def _full(self) -> bool:
        full = len(self._chunk.items) >= chunk_limits.CHUNK_ITEMS
        return full or self._chars >= chunk_limits.CHUNK_CHARS

    def _next(self) -> Chunk:
        chunk = self._chunk
        self._chunk = Chunk(
            source=chunk.source, items_done=chunk.items_done, rejected_items=chunk.rejected_items, bytes=chunk.bytes
        )
        self._chars = 0
        return chunk

    def _checked(self, item: Item, number: int, doc: str) -> Paragraph | Rejected:
        if not isinstance(item, Row):
            return item
        if item.own_id:
            first = self._ids.first(item.paragraph.id, (number, item.line))
            if first is not None:
                where = f"{self._sources[first[0]][0]}:{first[1]}"
                reason = f"duplicate id '{shown(item.paragraph.id)}', first at {where}; rename one"
                return Rejected(str(self._sources[number][0]), doc, item.line, item.paragraph.id, reason)
        return item.paragraph
