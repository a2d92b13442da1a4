"""Files to rows: tags in chunks and writes, without ever holding a whole run. Knows nothing of HTTP or of display."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from policytag.readers import Item, ReadOptions, Rejected, Source, read_source
from policytag.readers import Row as InputRow
from policytag.readers.rows import shown
from policytag.tagger import Tagger
from serving.rows import Row, furniture_row, rejected_row, tagged_row

CHUNK = 512
"""Paragraphs tagged in one call: enough to sort by length, few enough to keep memory flat."""

STDOUT = "-"


def read_items(sources: Sequence[tuple[Source, str]], options: ReadOptions) -> Iterator[Item]:
    """Every item of every source in order; a second row with the same id is rejected.

    Args:
        sources: Each with its document's name.
    """
    seen: dict[str, str] = {}
    for source, doc in sources:
        for item in read_source(source, doc, options):
            if isinstance(item, InputRow) and item.own_id:
                row_id, place = item.paragraph.id, f"{source}:{item.line}"
                if row_id in seen:
                    reason = f"duplicate id '{shown(row_id)}', first at {seen[row_id]}; rename one"
                    yield Rejected(str(source), doc, item.line, row_id, reason)
                    continue
                seen[row_id] = place
            yield item


def tag_rows(
    tagger: Tagger,
    items: Iterable[Item],
    *,
    text: bool = True,
    scores: bool = False,
) -> Iterator[Row]:
    """One row for every item, in order.

    Args:
        items: What `read_items` yields.
        text: Whether rows carry the paragraph's text.
        scores: Whether rows carry every label's probability.
    """
    stream = iter(items)
    while read := list(itertools.islice(stream, CHUNK)):
        chunk = [item.paragraph if isinstance(item, InputRow) else item for item in read]
        wanted = [item for item in chunk if not isinstance(item, Rejected) and item.kind != "furniture"]
        predictions = iter(tagger.tag(wanted))
        for item in chunk:
            if isinstance(item, Rejected):
                yield rejected_row(item)
            elif item.kind == "furniture":
                yield furniture_row(item, tagger.version, text=text)
            else:
                yield tagged_row(next(predictions), tagger.taxonomy, text=text, scores=scores)


@contextlib.contextmanager
def open_output(target: str) -> Iterator[Callable[[bytes], object]]:
    """A function that writes to ``target``, which appears only when all is written.

    The bytes go to a hidden file beside the target, which is flushed to disk and renamed at the end; on an error the
    target stays as it was. ``-`` is standard output, and a device or pipe is written directly.

    Raises:
        OSError: If the target cannot be written; its ``filename`` is the target.
    """
    path = Path(target).resolve()
    partial = path.parent / f".{path.name}.{os.getpid()}.part"
    try:
        if target == STDOUT:
            yield sys.stdout.buffer.write
            sys.stdout.buffer.flush()
        elif path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file.write
        else:
            with _atomic(path, partial) as write:
                yield write
    except OSError as error:
        if error.filename in (None, str(path), str(partial)):
            raise OSError(error.errno, error.strerror, target) from None
        raise


@contextlib.contextmanager
def _atomic(path: Path, partial: Path) -> Iterator[Callable[[bytes], object]]:
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    try:
        with partial.open("wb") as file:
            if path.exists():
                shutil.copymode(path, partial)
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Makes a rename last through a power loss, where the system lets folders be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
