"""Reads files in other processes, under limits, so that no file can take this one with it. Knows no format.

A sandbox is a process that stays (`policytag.readers.worker`); a file costs it a fork, a few milliseconds.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from policytag.errors import InputError
from policytag.readers.items import MIB, Limits

GRACE_SECONDS = 8
"""How much longer than the limit this side waits before it ends the process itself."""
MAX_FRAME_BYTES = 256 * MIB
"""Longest line of an answer; a longer one is no answer."""


class Sandbox:
    """One process that reads files, one at a time. Not to be shared between threads while it reads."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = bytearray()

    def ask(self, limits: Limits, data: bytes | None = None, **request: Any) -> Iterator[dict[str, Any]]:
        """Sends a request and yields what comes back, see `policytag.readers.worker`.

        Raises:
            InputError: If the file cannot be read within the limits; the reason, without the file's name.
        """
        request |= {"limits": asdict(limits), "size": None if data is None else len(data)}
        ended = False
        try:
            self._send(json.dumps(request).encode() + b"\n" + (data or b""))
            while True:
                frame = self._receive(limits)
                if "end" in frame:
                    ended = True
                    if frame["end"]:
                        raise InputError(_death(frame["end"], limits))
                    return
                if "error" in frame:
                    self._receive(limits)
                    ended = True
                    raise InputError(frame["error"])
                yield frame
        finally:
            if not ended:
                self.close()

    def close(self) -> None:
        """Ends the process; the next request starts another."""
        process, self._process = self._process, None
        self._buffer.clear()
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path) or str(Path.cwd()),
            "OPENBLAS_NUM_THREADS": "1",  # each thread of it reserves memory that counts against the limit
            "OMP_NUM_THREADS": "1",
            "ARROW_DEFAULT_MEMORY_POOL": "system",
        }
        return subprocess.Popen(
            [sys.executable, "-m", "policytag.readers.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=environment,
            start_new_session=True,  # Ctrl-C is for this process; it ends that one
        )

    def _send(self, message: bytes) -> None:
        for attempt in (1, 2):
            if self._process is None:
                self._process = self._start()
            assert self._process.stdin is not None
            try:
                view = memoryview(message)
                while view:
                    view = view[self._process.stdin.write(view) or 0 :]
                return
            except BrokenPipeError:
                self.close()
                if attempt == 2:
                    raise InputError("the reading process does not start; check the installation") from None

    def _receive(self, limits: Limits) -> dict[str, Any]:
        while True:
            line = self._line(limits)
            if line:
                with contextlib.suppress(ValueError):  # half a line, of a process that died while it wrote
                    return json.loads(line.decode("utf-8", "surrogatepass"))

    def _line(self, limits: Limits) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        handle = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > MAX_FRAME_BYTES or not poll.poll((limits.seconds + GRACE_SECONDS) * 1000):
                self.close()
                raise InputError(_death(-signal.SIGALRM, limits))
            piece = os.read(handle, MIB)
            if not piece:
                self.close()
                raise InputError(_death(-signal.SIGKILL, limits))
            self._buffer += piece
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line


def _death(code: int, limits: Limits) -> str:
    """Why a process ended that gave no reason itself."""
    if code == -signal.SIGALRM:
        return f"takes more than {limits.seconds} s to be read; split or simplify the file"
    return (
        f"the process that read it ended (signal {-code}): damaged, or needs more than "
        f"{limits.memory_bytes // MIB} MiB; open it and save it anew"
    )


_idle: list[Sandbox] = []
_lock = threading.Lock()


@contextlib.contextmanager
def borrowed() -> Iterator[Sandbox]:
    """A sandbox that is this thread's until the block ends; kept running between blocks."""
    _tidy_up()
    with _lock:
        sandbox = _idle.pop() if _idle else Sandbox()
    try:
        yield sandbox
    finally:
        with _lock:
            _idle.append(sandbox)


@functools.cache
def _tidy_up() -> None:
    """Sees to it, once, that the processes end with this one, and that a process split off from it starts its own."""
    atexit.register(close_all)
    os.register_at_fork(after_in_child=_idle.clear)


def close_all() -> None:
    """Ends the processes that wait for work."""
    with _lock:
        while _idle:
            _idle.pop().close()
