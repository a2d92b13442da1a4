"""Starts and ends a server for a measurement, and finds its worker. Knows nothing of what is measured."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS = 180
STOP_SECONDS = 150


@dataclass(frozen=True, slots=True)
class Server:
    """A running ``policytag serve``."""

    url: str
    port: int
    process: subprocess.Popen[bytes]

    def worker(self) -> int:
        """The process that answers, child of the one that was started."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            if b"worker.service" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
        raise RuntimeError(f"no worker among {children}")

    def worker_mib(self) -> float:
        """Resident memory of the worker, MiB."""
        status = Path(f"/proc/{self.worker()}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def kill_worker(self) -> None:
        """As the system does when memory is short."""
        os.kill(self.worker(), signal.SIGKILL)

    def ready(self) -> bool:
        """Whether it says so now."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def wait_ready(self) -> float:
        """Waits until it is ready; gives the seconds that took."""
        started = time.monotonic()
        while not self.ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}")
            if time.monotonic() - started > READY_SECONDS:
                raise RuntimeError(f"not ready after {READY_SECONDS} s")
            time.sleep(0.05)
        return time.monotonic() - started


@contextlib.contextmanager
def serving(model: Path, **settings: str) -> Iterator[Server]:
    """A server on a free port of 127.0.0.1; ended when the block ends.

    Args:
        settings: Environment variables beside ``POLICYTAG_MODEL``.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "serving.cli", "serve", "--model", str(model), "--port", str(port)]
    process = subprocess.Popen(command, env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Server(f"http://127.0.0.1:{port}", port, process)
    try:
        server.wait_ready()
        yield server
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
