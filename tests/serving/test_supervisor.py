"""The supervisor ends, even if its first answer to a signal is that it has no time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

import pytest
from circus.sighandler import SysHandler
from tornado.ioloop import IOLoop

from serving import supervisor as circus_supervisor

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no signals")


class Supervisor:
    """Refuses commands at first, as circus does while it looks after its workers; notes what it is asked."""

    def __init__(self, loop: IOLoop) -> None:
        self.loop = loop
        self.asked: list[str] = []
        self.ended = asyncio.Event()

    def dispatch(self, job: tuple[None, str]) -> None:
        self.asked.append(json.loads(job[1])["command"])
        if len(self.asked) == 3:
            self.ended.set()


def test_a_supervisor_that_is_busy_is_asked_to_end_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SysHandler, "quit", SysHandler.quit)  # put back when the test ends
    monkeypatch.setattr(circus_supervisor, "ASK_AGAIN_SECONDS", 0.01)

    async def test() -> None:
        circus_supervisor.ask_until_stopped()
        supervisor = Supervisor(IOLoop.current())
        handler = SysHandler(supervisor)
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(supervisor.ended.wait(), 20)
        finally:
            handler.stop()
        assert supervisor.asked == ["quit"] * 3

    asyncio.run(test())
