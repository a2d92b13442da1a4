"""Files that a kill at any moment leaves whole: hashed, replaced in one move, flushed, locked. Knows no content."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from policytag.artifact import sha256
from training.pretraining.errors import PretrainError


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    try:
        return sha256(path)
    except OSError as error:
        raise PretrainError(f"{path}: cannot be read ({error.strerror})") from None


def write_text(path: Path, text: str) -> None:
    """Replaces a file in one move."""
    building = path.with_name(f".{path.name}.building")
    building.write_text(text, encoding="utf-8")
    building.replace(path)


def to_disk(path: Path) -> None:
    """Waits until a file, or a folder's list of names, would survive a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(work: Path) -> Iterator[None]:
    """Holds the work folder for one run; the kernel lets go of it even when the run is killed."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PretrainError(f"{work}: another run works here; wait for it or give another --work folder") from None
        yield
