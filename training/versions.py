"""The models of a folder: which is current, which were, and why. Knows nothing of how good they are.

``models/current`` is a real folder and what serving reads. ``models/versions/<version>`` keeps every model that was
ever promoted, ``models/history.jsonl`` says when and why. A switch copies the wanted version beside ``current`` and
exchanges the two folders in one step, so that a kill at any moment leaves the old model or the new one, never a mix;
what it leaves beside them, the next operation clears away.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from policytag import artifact
from policytag.artifact import MANIFEST
from policytag.errors import ArtifactError, InputError
from training import jsonl
from training.exchange import exchange, restore
from training.files import locked, to_disk, write_text

log = logging.getLogger(__name__)

PROMOTE, ROLLBACK = "promote", "rollback"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the history.

    Attributes:
        at: UTC, ISO 8601.
        action: ``promote`` or ``rollback``.
        version: What became current.
        previous: What was; "" the first time.
        reason: As given.
        gates: The result of each gate, by name; empty for a rollback.
        forced: Whether a gate was overruled.
    """

    at: str
    action: str
    version: str
    previous: str
    reason: str
    gates: dict[str, str] = field(default_factory=dict)
    forced: bool = False


class Versions:
    """The store in a folder such as ``models``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.current = folder / "current"
        self.kept = folder / "versions"
        self._history = folder / "history.jsonl"
        self._pending = folder / ".pending.json"
        self._staging, self._old = folder / ".staging", folder / ".old"

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Holds the store for one change and first ends what a killed one began.

        Raises:
            InputError: If another process changes it.
        """
        if not self.folder.is_dir():
            raise InputError(f"{self.folder}: no such folder; expected one with the model folder 'current'")
        with locked(self.folder / ".lock"):
            self._recover()
            yield

    def current_version(self) -> str:
        """The version that serves; "" where there is none."""
        return _version(self.current) if self.current.exists() else ""

    def refuse_current(self, version: str) -> None:
        """Refuses to make current what is so already.

        Raises:
            InputError: Naming the version.
        """
        if version == self.current_version():
            raise InputError(f"{self.current}: is version {version} already; nothing to do")

    def kept_versions(self) -> list[str]:
        """Every version that can be gone back to."""
        return sorted(path.name for path in self.kept.glob("*") if (path / MANIFEST).is_file())

    def history(self) -> list[Entry]:
        """All changes, oldest first.

        Raises:
            InputError: Naming the line that is no entry.
        """
        entries = []
        for place, row in jsonl.read(self._history) if self._history.exists() else ():
            try:
                entries.append(Entry(**row))
            except TypeError as error:
                raise InputError(f"{place}: no entry of a history ({error}); restore the file") from None
        return entries

    def switch(self, model: Path, entry: Entry) -> None:
        """Makes a copy of a model folder current. The caller holds the store, see `changing`.

        Raises:
            ArtifactError: If the folder, or the model that is current, is damaged; nothing is changed then.
            InputError: If that version is current already.
        """
        self.refuse_current(entry.version)
        if self.current.exists():
            self._keep(self.current)
        kept = self._keep(model)
        _copy(kept, self._staging)
        write_text(self._pending, json.dumps(asdict(entry), ensure_ascii=False))
        to_disk(self._pending)
        exchange(self._staging, self.current, self._old)
        self._record(entry)
        self._clear()

    def _keep(self, model: Path) -> Path:
        """Copies a model into the store, unless it is there; returns its place."""
        version = artifact.load(model).manifest.version
        place = self.kept / version
        if place.exists():
            artifact.load(place)
            return place
        self.kept.mkdir(exist_ok=True)
        copying = self.kept / ".copying"
        shutil.rmtree(copying, ignore_errors=True)
        _copy(model, copying)
        copying.rename(place)
        to_disk(self.kept)
        return place

    def _recover(self) -> None:
        restore(self.current, self._old)
        if self._pending.exists():
            entry = Entry(**json.loads(self._pending.read_text(encoding="utf-8")))
            done = entry.version == self.current_version()
            log.warning("%s: a %s of %s was cut off; it is %s", self.folder, entry.action, entry.version,
                        "done" if done else "undone")  # fmt: skip
            if done:
                self._record(entry)
        self._clear()

    def _record(self, entry: Entry) -> None:
        entries = self.history()
        if entry not in entries:
            jsonl_text = "".join(json.dumps(asdict(e), ensure_ascii=False) + "\n" for e in [*entries, entry])
            write_text(self._history, jsonl_text)
            to_disk(self.folder)

    def _clear(self) -> None:
        self._pending.unlink(missing_ok=True)
        for unfinished in self.folder.glob(".*.building"):
            unfinished.unlink()
        for leftover in (self._staging, self._old, self.kept / ".copying"):
            shutil.rmtree(leftover, ignore_errors=True)


def entry_now(action: str, version: str, previous: str, reason: str, **rest: Any) -> Entry:
    """An entry with the time of now.

    Raises:
        InputError: If the reason is blank.
    """
    if not reason.strip():
        raise InputError("--reason: is blank; expected why, in a few words")
    return Entry(
        datetime.now(UTC).isoformat(timespec="microseconds"), action, version, previous, reason.strip(), **rest
    )


def rollback(versions: Versions, to: str | None, reason: str) -> Entry:
    """Makes an earlier version current again: the one before the current, or the one named.

    Raises:
        InputError: If that version is not kept.
        ArtifactError: If it is damaged.
    """
    with versions.changing():
        now = versions.current_version()
        before = [entry.previous for entry in versions.history() if entry.version == now]
        target = to or (before[-1] if before else "")
        if target not in versions.kept_versions():
            kept = ", ".join(versions.kept_versions()) or "none"
            what = f"version '{target}' is not kept" if target else f"no version came before {now}"
            raise InputError(f"{versions.kept}: {what}; expected --to with one of: {kept}")
        entry = entry_now(ROLLBACK, target, now, reason)
        versions.switch(versions.kept / target, entry)
        return entry


def _version(model: Path) -> str:
    """The version in a manifest, nothing verified."""
    try:
        return str(json.loads((model / MANIFEST).read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{model / MANIFEST}: no version to be read ({error!r}); restore the folder") from None


def _copy(model: Path, place: Path) -> None:
    """Copies a model folder, verifies the copy and waits until it is on the disk."""
    shutil.copytree(model, place)
    artifact.load(place)
    for path in (*place.iterdir(), place):
        to_disk(path)
