"""The model that answers, and how a new one takes its place while requests are answered. Knows no HTTP.

A promoted model is noticed by its manifest's version, loaded and verified beside the old one, and swapped in; what was
begun by the old one is finished by it. A folder that cannot be loaded changes nothing and is tried again later.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from policytag.artifact import MANIFEST
from policytag.errors import ArtifactError
from policytag.tagger import Tagger
from serving import metrics

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How often the folder is looked at."""
RETRY_SECONDS = 30.0
"""How long a folder that could not be loaded, and did not change since, is left alone."""


class Models:
    """The current model of a folder.

    Args:
        folder: A model folder; another may be put in its place at any time.
        threads: Threads of one inference.

    Raises:
        ArtifactError: If the folder cannot be loaded.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder = folder
        self._threads = threads
        self._refused: bytes | None = None  # the manifest of a folder that could not be loaded
        self._retry = 0.0
        self.current = _load(folder, threads)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="model watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops watching."""
        self._ended.set()
        self._thread.join()

    def refresh(self) -> bool:
        """Loads the folder's model if it is another than the current one; whether it did."""
        manifest = _manifest(self._folder)
        if manifest is None or _version(manifest) == self.current.version:
            return False
        if manifest == self._refused and time.monotonic() < self._retry:
            return False
        try:
            tagger = _load(self._folder, self._threads)
        except ArtifactError as error:
            # Halfway through an exchange there is a next look; a folder that stays as it is has one after a while.
            if _manifest(self._folder) == manifest:
                self._refused, self._retry = manifest, time.monotonic() + RETRY_SECONDS
                metrics.RELOADS.labels(outcome="refused").inc()
                logger.error("model %s goes on; the new one is refused: %s", self.current.version, error)
            return False
        logger.info("model %s takes the place of %s", tagger.version, self.current.version)
        self.current = tagger
        self._refused = None
        metrics.RELOADS.labels(outcome="loaded").inc()
        return True

    def _watch(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            try:
                self.refresh()
            except Exception:
                logger.exception("the model folder cannot be watched; trying again")


def _load(folder: Path, threads: int) -> Tagger:
    with _pinned(folder) as pinned:
        try:
            tagger = Tagger.load(pinned, threads)
        except ArtifactError as error:
            raise ArtifactError(str(error).replace(str(pinned), str(folder))) from None
    tagger.artifact = replace(tagger.artifact, folder=folder)  # its errors name the folder, not the pin
    return tagger


@contextlib.contextmanager
def _pinned(folder: Path) -> Iterator[Path]:
    """A path that means this very folder, even if another takes its name meanwhile, where the system has one."""
    try:
        handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError:
        yield folder  # missing, or a system that opens no folders: loading it tells
        return
    try:
        pinned = Path(f"/proc/self/fd/{handle}")
        yield pinned if pinned.is_dir() else folder
    finally:
        os.close(handle)


def _manifest(folder: Path) -> bytes | None:
    try:
        return (folder / MANIFEST).read_bytes()
    except OSError:
        return None


def _version(manifest: bytes) -> str | None:
    try:
        return json.loads(manifest)["version"]
    except (ValueError, KeyError, TypeError):
        return None
