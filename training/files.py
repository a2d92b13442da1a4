"""Files that a kill at any moment leaves whole: hashed, replaced in one move, flushed, locked. Knows no content."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from policytag.artifact import sha256
from policytag.errors import InputError


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    try:
        return sha256(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a file") from None


def write_text(path: Path, text: str) -> None:
    """Replaces a file in one move."""
    with replacing(path) as building:
        building.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write what takes a file's place in one move, unless the block fails."""
    building = path.with_name(f".{path.name}.building")
    yield building
    building.replace(path)


def to_disk(path: Path) -> None:
    """Waits until a file, or a folder's list of names, would survive a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Holds a lock file for one process; the kernel lets go of it even when the process is killed.

    Raises:
        InputError: If another process holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{lock.parent}: another run works here; wait for it or give another folder") from None
        yield
