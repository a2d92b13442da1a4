"""Two folders change places in one step of the file system. Knows nothing of what is in them."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from training.files import to_disk

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM}


def exchange(new: Path, current: Path, old: Path) -> None:
    """Puts ``new`` in the place of ``current``; what was there is at ``old`` afterwards. All are siblings.

    Linux's ``renameat2(RENAME_EXCHANGE)``: whoever opens ``current`` at any moment finds one of the two whole folders,
    and so does a process that starts after a kill or a loss of power. Where the system or the file system does not know
    it (macOS, some network file systems), two renames take its place: for a moment there is no ``current``, and a
    process killed in that moment leaves ``old``, which `restore` puts back.
    """
    if not current.exists():
        new.rename(current)
    elif _atomic(new, current):
        new.rename(old)
    else:
        current.rename(old)
        new.rename(current)
    to_disk(current.parent)


def restore(current: Path, old: Path) -> None:
    """Ends what a kill between two renames of `exchange` began: puts ``old`` back where there is no ``current``."""
    if old.exists() and not current.exists():
        old.rename(current)


def _atomic(one: Path, other: Path) -> bool:
    """Exchanges two paths; False where this is not possible here."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(other))
