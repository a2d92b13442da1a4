"""The ids that a run has met, on disk: memory stays constant however many rows there are. Knows no rows.

An id is kept as 128 bits of its hash with the place where it was first met. A place that is read again after an
interruption is the same place, so its id is no duplicate.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

CACHE_KIB = 16 * 1024

Place = tuple[int, int]
"""Which source, which line of it."""


class SeenIds:
    """A table of ids. What was added lasts from `commit` on.

    Args:
        path: The file, made where it is not; None keeps the table in a temporary file.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._open: sqlite3.Connection | None = None

    @property
    def _database(self) -> sqlite3.Connection:
        if self._open is None:  # runs without ids of their own need none
            # An empty name is a temporary file that SQLite removes itself.
            self._open = sqlite3.connect("" if self._path is None else self._path, isolation_level=None)
            self._open.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            self._open.execute(
                "CREATE TABLE IF NOT EXISTS seen (id BLOB PRIMARY KEY, source INTEGER, line INTEGER) WITHOUT ROWID"
            )
            self._open.execute("BEGIN")
        return self._open

    def first(self, row_id: str, place: Place) -> Place | None:
        """Where the id was met before, if it was met elsewhere; else it is noted.

        Raises:
            OSError: If the disk is full.
        """
        key = hashlib.blake2b(row_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        with _full_disk(self._path):
            added = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (key, *place)).rowcount
            if added:
                return None
            found = self._database.execute("SELECT source, line FROM seen WHERE id = ?", (key,)).fetchone()
        return None if tuple(found) == place else (found[0], found[1])

    def commit(self) -> None:
        """Makes what was noted last, through a power loss too.

        Raises:
            OSError: If the disk is full.
        """
        if self._open is not None:
            with _full_disk(self._path):
                self._open.execute("COMMIT")
                self._open.execute("BEGIN")

    def close(self) -> None:
        """Forgets what was not committed."""
        if self._open is not None:
            with contextlib.suppress(sqlite3.Error):
                self._open.close()
            self._open = None


@contextlib.contextmanager
def _full_disk(path: Path | None) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        number = errno.ENOSPC if "full" in str(error) or "I/O" in str(error) else errno.EIO
        raise OSError(number, os.strerror(number), str(path or "temporary folder")) from None
