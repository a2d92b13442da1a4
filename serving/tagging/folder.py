"""The run folder: what a run was asked to do, how far it is, and the rows it has written. Knows nothing of models.

Beside the output ``tags.jsonl`` lies ``tags.jsonl.run/``:

* ``manifest.json``: model version, options, the digest of the inputs, counts, state (``running``, ``finished``).
* ``inputs.jsonl``: every input with size and SHA-256; ``files.jsonl``: every input read, with format, encoding, counts.
* ``rows.jsonl``: the rows so far; ``progress.json``: how much of it is committed, and which item comes next.
* ``ids.sqlite``: the ids met, see `serving.tagging.seen`; ``lock``: held while a run writes.

A commit flushes ids, files and rows to disk, in this order, and then replaces ``progress.json``. Whatever happens
between two commits, the next run cuts the files to what ``progress.json`` says and goes on from there.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from policytag.errors import InputError
from serving.rows import dump
from serving.tagging.files import sync_folder
from serving.tagging.seen import SeenIds

FORMAT = 1
RUNNING, FINISHED = "running", "finished"


@dataclass(frozen=True, slots=True)
class Progress:
    """What is committed.

    Attributes:
        source: The source that is read.
        items: Items of it that are done.
        rows_bytes: Length of ``rows.jsonl``.
        files_bytes: Length of ``files.jsonl``.
        counts: ``ok``, ``furniture`` and ``rejected`` rows.
        rejected_items: Rejected items of it.
        complete: Whether every source is read.
    """

    source: int = 0
    items: int = 0
    rows_bytes: int = 0
    files_bytes: int = 0
    counts: dict[str, int] = field(default_factory=lambda: {"ok": 0, "furniture": 0, "rejected": 0})
    rejected_items: int = 0
    complete: bool = False


class RunFolder:
    """A run folder under its lock. Use it as a context manager.

    Raises:
        InputError: If another run holds it.
        OSError: If it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        self._lock = (path / "lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise InputError(
                f"{path}: another run (process {holder}) is writing there; wait for it, or choose another output"
            ) from None
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()
        self._rows: BinaryIO | None = None
        self._files: BinaryIO | None = None
        self.ids = SeenIds(path / "ids.sqlite")
        self.progress = Progress()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.ids.close()
        for file in (self._rows, self._files, self._lock):
            if file is not None:
                try:
                    file.close()
                except OSError:
                    continue  # what it would still write is not committed

    @property
    def rows_file(self) -> Path:
        return self.path / "rows.jsonl"

    def manifest(self) -> dict[str, Any] | None:
        """What the folder says of its run; None if there is none.

        Raises:
            InputError: If it is damaged.
        """
        return self._read("manifest.json")

    def start(self, manifest: Mapping[str, Any], inputs: BinaryIO) -> None:
        """Begins anew: forgets what an earlier run left."""
        for name in (
            "progress.json",
            "rows.jsonl",
            "files.jsonl",
            "ids.sqlite",
            "ids.sqlite-journal",
            "rejected.jsonl",
        ):
            (self.path / name).unlink(missing_ok=True)
        with (self.path / "inputs.jsonl").open("wb") as file:
            shutil.copyfileobj(inputs, file)
            _flush(file)
        self.write("manifest.json", {"format": FORMAT, "state": RUNNING, **manifest})
        self.progress = Progress()
        self._open()

    def go_on(self) -> None:
        """Takes up where the last commit was."""
        saved = self._read("progress.json")
        self.progress = Progress(**saved) if saved else Progress()
        self._open()

    def _open(self) -> None:
        if self.progress.complete:
            return  # the rows may be in their place already; an empty file here would take it
        for path in (self.rows_file, self.path / "files.jsonl"):
            path.touch()
        self._rows, self._files = self.rows_file.open("r+b"), (self.path / "files.jsonl").open("r+b")
        for file, size in ((self._rows, self.progress.rows_bytes), (self._files, self.progress.files_bytes)):
            if file.seek(0, os.SEEK_END) < size:
                raise InputError(
                    f"{file.name}: shorter than {self.path / 'progress.json'} says; start anew with --overwrite"
                )
            file.truncate(size)
            file.seek(size)

    def add_rows(self, lines: bytes) -> None:
        """Appends rows; they last from the next commit on."""
        assert self._rows is not None
        self._rows.write(lines)

    def add_file(self, entry: Mapping[str, Any]) -> None:
        """Notes a source that is read to its end."""
        assert self._files is not None
        self._files.write(dump(dict(entry)))

    def commit(self, progress: Progress) -> None:
        """Makes everything so far last.

        Args:
            progress: Its lengths are filled in here.

        Raises:
            OSError: If the disk is full; then the last commit holds.
        """
        assert self._rows is not None
        assert self._files is not None
        self.ids.commit()
        for file in (self._files, self._rows):
            _flush(file)
        progress = replace(progress, rows_bytes=self._rows.tell(), files_bytes=self._files.tell())
        self.write("progress.json", asdict(progress))
        self.progress = progress

    def finish(self, changes: Mapping[str, Any]) -> None:
        """Marks the run as finished and removes what only an unfinished one needs."""
        self.write("manifest.json", {**(self.manifest() or {}), **changes, "state": FINISHED})
        self.ids.close()
        for name in ("ids.sqlite", "rows.jsonl"):
            (self.path / name).unlink(missing_ok=True)

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Replaces a small JSON file."""
        partial = self.path / f".{name}.part"
        with partial.open("wb") as file:
            file.write(json.dumps(content, indent=1).encode() + b"\n")
            _flush(file)
        partial.replace(self.path / name)
        sync_folder(self.path)

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.path / name
        try:
            return json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            raise InputError(f"{path}: damaged; start anew with --overwrite") from None


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
