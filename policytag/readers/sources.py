"""Which files a run reads: folders, patterns and archives taken apart. Reads no file but the list of an archive."""

from __future__ import annotations

import glob
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from policytag.errors import InputError
from policytag.readers import sandbox
from policytag.readers.items import Limits

_CLUTTER = ("__MACOSX", "Thumbs.db", "desktop.ini")
"""What systems leave in folders and archives, and nobody means to tag."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something to read.

    Attributes:
        path: The file.
        member: Its number in the archive at ``path``, or None.
        member_name: Its name there.
        problem: Why it cannot be read, where that is known already.
    """

    path: Path
    member: int | None = None
    member_name: str = ""
    problem: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}/{self.member_name}"

    @property
    def parts(self) -> tuple[str, ...]:
        return (*self.path.parts, *PurePosixPath(self.member_name).parts)

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.parts[-1]).suffix.lower()


def find_sources(inputs: Sequence[Path], limits: Limits | None = None) -> list[Source]:
    """What to read, each once however it is named or linked to.

    Folders are read recursively in name order, hidden files and what systems leave there excepted; archives in the
    order of their list. What is in a folder but cannot be read is there too, so that nothing is passed over unsaid.

    Args:
        inputs: Files, folders, and patterns such as ``docs/**/*.pdf``.

    Raises:
        InputError: If an input does not exist, or a folder holds no file.
    """
    unique: dict[tuple[str, int | None], Source] = {}
    for path in inputs:
        for file in _files(path):
            for source in _expanded(file, limits or Limits()):
                unique.setdefault((os.path.realpath(source.path), source.member), source)
    return list(unique.values())


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(_walk(path))
        if not found:
            raise InputError(f"{path}: no file in this folder")
        return found
    if os.path.lexists(path):
        return [path]
    if glob.has_magic(str(path)):
        matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207 - the pattern may be absolute
        if matches:
            return [file for match in matches for file in (sorted(_walk(match)) if match.is_dir() else [match])]
    raise InputError(f"{path}: no such file or folder")


def _walk(folder: Path) -> Iterator[Path]:
    """The files below a folder; a folder that is reached twice through links is read once."""
    seen: set[tuple[int, int]] = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        status = Path(here).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not _clutter(name))
        yield from (Path(here, name) for name in files if not _clutter(name))


def _clutter(name: str) -> bool:
    return (name.startswith((".", "~$")) and name != "..") or name in _CLUTTER


def _expanded(path: Path, limits: Limits) -> Iterator[Source]:
    """The file, or what is in it if it is an archive."""
    problem = _problem(path)
    if problem or path.suffix.lower() != ".zip":
        yield Source(path, problem=problem)
        return
    try:
        with sandbox.borrowed() as process:
            request = {"path": str(path), "member": None, "list": True, "suffix": ".zip"}
            [answer] = process.ask(limits, **request)
    except InputError as error:
        yield Source(path, problem=str(error))
        return
    if answer["members"] is None:
        yield Source(path)
        return
    kept = [(number, name) for number, name in answer["members"] if not any(map(_clutter, PurePosixPath(name).parts))]
    if not kept:
        yield Source(path, problem="an archive with nothing but hidden files in it")
    yield from (Source(path, number, name) for number, name in kept)


def _problem(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "a link to a file that is not there; mend or remove it"
    except OSError as error:
        return f"cannot be read ({error.strerror}); check path and permissions"
    return None if stat.S_ISREG(mode) else "not a regular file but a pipe, socket or device; expected a file"


def document_names(sources: Sequence[Source]) -> list[str]:
    """A distinct name for each source: the file's own, with as many parent folders as tell it from its namesakes.

    ``a/x.txt, b/x.txt, y.txt`` -> ``a/x.txt, b/x.txt, y.txt``; a member has the archive's name before its own.
    """
    lengths = [1 + len(PurePosixPath(source.member_name).parts) for source in sources]
    names = ["/".join(source.parts[-length:]) for source, length in zip(sources, lengths, strict=True)]
    depth = 0
    while len(set(names)) < len(names) and depth < 64:
        depth += 1
        uses = Counter(names)
        names = [
            "/".join(source.parts[-length - depth :]) if uses[name] > 1 else name
            for source, length, name in zip(sources, lengths, names, strict=True)
        ]
    uses = Counter()
    for place, name in enumerate(names):  # namesakes within one archive
        uses[name] += 1
        if uses[name] > 1:
            names[place] = f"{name} ({uses[name]})"
    return names
