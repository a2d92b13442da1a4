"""The process that reads files and may die of it: ``python -m policytag.readers.worker``.

It keeps the format libraries loaded and splits off a process for each file, which reads under limits of memory and
time and cannot write files. Requests come on standard input, answers go to standard output, one JSON object a line;
`policytag.readers.sandbox` is the other end. Knows nothing of folders or models.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import stat
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from policytag.errors import InputError
from policytag.readers import formats
from policytag.readers.items import MIB, Limits, ReadOptions, to_json

BATCH_ITEMS = 256
BATCH_CHARS = MIB
"""Items and characters of one line of the answer."""
MAX_REASON_CHARS = 200


def main() -> None:
    """Answers requests until standard input ends."""
    requests, answers = _take_over_streams()
    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(request["size"]) if request["size"] is not None else None
        formats.preload(request["suffix"])
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _Child(request, data, answers).run()
                code = 0
            finally:
                os._exit(code)
        del data
        _, status = os.waitpid(child, 0)
        end = {"end": os.waitstatus_to_exitcode(status)}
        # A process that died in the middle of a line leaves it without its end.
        os.write(answers, b"\n" + json.dumps(end).encode() + b"\n")


def _take_over_streams() -> tuple[BinaryIO, int]:
    """Standard input, and where answers go; what libraries print goes nowhere."""
    answers = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    return sys.stdin.buffer, answers


class _Child:
    """Reads one file, under limits."""

    def __init__(self, request: dict[str, Any], data: bytes | None, answers: int) -> None:
        self._request, self._data, self._answers = request, data, answers
        self._limits = Limits(**request["limits"])

    def run(self) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process even inside a library's C code
        _limit(resource.RLIMIT_AS, self._limits.memory_bytes)
        _limit(resource.RLIMIT_FSIZE, 0)
        _limit(resource.RLIMIT_CORE, 0)
        signal.alarm(self._limits.seconds)
        try:
            self._answer()
        except InputError as error:
            self._say({"error": str(error)})
        except MemoryError:
            self._say({"error": over_memory(self._limits)})
        except Exception as error:
            # Libraries meet damage with any type of error; whatever it is, it is the file's.
            if isinstance(error, OSError) and error.strerror and error.filename:
                self._say({"error": f"cannot be read ({error.strerror}); check path and permissions"})
                return
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_REASON_CHARS]
            self._say({"error": f"damaged, or not as its format has it ({reason}); open it and save it anew"})

    def _answer(self) -> None:
        request = self._request
        with contextlib.ExitStack() as stack:
            if self._data is not None:
                file, size = io.BytesIO(self._data), len(self._data)
            else:
                file = stack.enter_context(_open_regular(request["path"]))
                size = os.fstat(file.fileno()).st_size
            if request["list"]:
                self._say({"members": formats.members(file, self._limits)})
                return
            if request["member"] is not None:
                file, size = stack.enter_context(
                    formats.open_member(file, request["member"], request["suffix"], self._limits)
                )
            options = ReadOptions(**request["options"])
            opened = formats.open_file(
                file, size, request["suffix"], request["source"], request["doc"], options, self._limits
            )
            self._say({"format": opened.format, "encoding": opened.encoding, "title": opened.title})
            streamed = opened.format in formats.STREAMED and request["member"] is None
            for batch in _batches(map(to_json, opened.items)):
                self._say({"items": batch, "at": file.tell() if streamed else 0})

    def _say(self, frame: dict[str, Any]) -> None:
        """Writes a line; the time that the other end takes to read it does not count."""
        data = json.dumps(frame, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        signal.alarm(0)
        view = memoryview(data)
        while view:
            view = view[os.write(self._answers, view) :]
        signal.alarm(self._limits.seconds)


def over_memory(limits: Limits) -> str:
    """The reason for a file that needs too much memory."""
    return f"needs more than {limits.memory_bytes // MIB} MiB to be read; split the file"


def _limit(kind: int, value: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # not every system has every limit
        resource.setrlimit(kind, (value, value))


def _open_regular(path: str) -> BinaryIO:
    """Opens a file without waiting for the other end of what is none."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError("not a regular file; expected a file")
    return os.fdopen(handle, "rb")


def _batches(items: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for first in items:
        batch, chars = [first], len(first.get("text", ""))
        while chars < BATCH_CHARS and len(batch) < BATCH_ITEMS:
            following = next(items, None)
            if following is None:
                break
            batch.append(following)
            chars += len(following.get("text", ""))
        yield batch


if __name__ == "__main__":
    main()
