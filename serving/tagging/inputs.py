"""The list of a run's inputs with sizes and hashes, by which a resumed run knows them again. Reads no format."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from policytag.artifact import sha256
from policytag.readers import Source, document_names, find_sources
from serving.rows import dump

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run reads.

    Attributes:
        sources: Each with its document's name.
        sizes: Bytes of each; 0 where it cannot be read. The members of an archive share its size.
    """

    sources: list[tuple[Source, str]]
    sizes: list[int]


def find(paths: Sequence[Path]) -> Inputs:
    """The sources behind what was named.

    Raises:
        InputError: If an input does not exist, or a folder holds no file.
    """
    sources = find_sources(paths)
    return Inputs(list(zip(sources, document_names(sources), strict=True)), _sizes(sources))


def _sizes(sources: Sequence[Source]) -> list[int]:
    members: dict[Path, int] = {}
    for source in sources:
        members[source.path] = members.get(source.path, 0) + 1
    sizes = []
    for source in sources:
        size = 0
        if source.problem is None:
            with contextlib.suppress(OSError):
                size = source.path.stat().st_size
        sizes.append(size // members[source.path])
    return sizes


def write_list(inputs: Inputs, file: BinaryIO) -> str:
    """Writes one line an input, ``{"doc", "path", "bytes", "sha256"}``, and gives the digest of all of them."""
    digest = hashlib.sha256()
    last: tuple[Path, str | None] | None = None
    for source, doc in inputs.sources:
        if last is None or last[0] != source.path:
            last = source.path, _hash(source)
        entry = {"doc": doc, "path": str(source), "bytes": None, "sha256": last[1]}
        with contextlib.suppress(OSError):
            entry["bytes"] = source.path.stat().st_size
        line = dump(entry)
        digest.update(line)
        file.write(line)
    return digest.hexdigest()


def first_difference(before: Path, after: BinaryIO) -> str:
    """Names the first input in which two lists differ."""
    after.seek(0)
    with before.open("rb") as file:
        for old, new in itertools.zip_longest(file, after, fillvalue=b""):
            if old != new:
                name = json.loads(new or old).get("path")
                if not new or not old:
                    return f"{name} is {'gone' if old else 'new'}"
                same = json.loads(old).get("path") == name
                return f"{name} has changed" if same else f"{name} stands in the place of {json.loads(old).get('path')}"
    return "their list"


def _hash(source: Source) -> str | None:
    if source.problem is not None and source.member is None and not source.path.is_file():
        return None
    try:
        return sha256(source.path)
    except OSError:
        return None


@contextlib.contextmanager
def spooled(stdin: BinaryIO, suffix: str | None) -> Iterator[Path]:
    """Standard input as a file, for as long as the block lasts.

    Args:
        suffix: Its format: ``".csv"``; None takes JSON lines for what begins with a brace, and plain text else.
    """
    with tempfile.TemporaryDirectory(prefix="policytag-") as folder:
        head = stdin.read(4096)
        if suffix is None:
            suffix = ".jsonl" if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else ".txt"
        path = Path(folder, f"stdin{suffix}")
        with path.open("wb") as file:
            piece = head
            while piece:
                file.write(piece)
                piece = stdin.read(1 << 20)
        yield path
