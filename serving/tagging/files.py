"""Writing files so that they are there whole or not at all. Knows nothing of what is in them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

STDOUT = "-"


def is_stream(target: str) -> bool:
    """Whether what is written to ``target`` is gone once written: standard output, a pipe or a device."""
    path = Path(target)
    return target == STDOUT or (path.exists() and not path.is_file() and not path.is_dir())


@contextlib.contextmanager
def open_output(target: str) -> Iterator[Callable[[bytes], object]]:
    """A function that writes to ``target``, which appears only when all is written.

    The bytes go to a hidden file beside the target, which is flushed to disk and renamed at the end; on an error the
    target stays as it was. ``-`` is standard output, and a device or pipe is written directly.

    Raises:
        OSError: If the target cannot be written; its ``filename`` is the target.
    """
    if target == STDOUT:
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
    elif is_stream(target):
        with Path(target).open("wb") as file:
            yield file.write
    else:
        with replacing(Path(target)) as file:
            yield file.write


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of ``path`` at the end of the block, with its mode; on an error nothing changes.

    Raises:
        OSError: If the target cannot be written; its ``filename`` is the target.
    """
    partial = path.resolve().parent / f".{path.name}.{os.getpid()}.part"
    try:
        check_writable(path)
        with partial.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        publish(partial, path)
    except OSError as error:
        if error.filename in (None, str(path), str(partial)):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    finally:
        partial.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Finds out before a long run what would fail at its end.

    Raises:
        OSError: If ``path`` is a folder, is write-protected, or would lie in a folder that is not there.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    if not path.resolve().parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def publish(partial: Path, path: Path) -> None:
    """Renames a finished file to its name, which keeps its mode, and makes that last through a power loss."""
    if path.exists():
        shutil.copymode(path, partial)
    partial.replace(path.resolve())
    sync_folder(path.resolve().parent)


def sync_folder(folder: Path) -> None:
    """Makes a rename last through a power loss, where the system lets folders be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
