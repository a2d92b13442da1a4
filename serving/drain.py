"""SIGTERM ends a worker without losing a request. Knows uvicorn, nothing of the service.

uvicorn answers what it has begun before it ends. But it closes connections whose request is still on its way, and its
supervisor holds the listening socket open meanwhile: new connections would be taken by the system, wait, and be reset
at the end. Here new connections are refused from the start, so that a client goes elsewhere at once, and those that
there are have a moment to be used and are closed with the answer.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import cast

import uvicorn

GRACE_SECONDS = 1.0
"""How long connections that are open may still send a request."""


def drain_on_sigterm() -> None:
    """From SIGTERM on, serves what has connected and refuses what connects. To be called in the worker's event loop."""
    if threading.current_thread() is not threading.main_thread():
        return  # not a worker: an application under test
    loop, finish = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)
    server = getattr(finish, "__self__", None)
    if not callable(finish) or not isinstance(server, uvicorn.Server):
        return

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(_stop_listening, loop, server)
        loop.call_soon_threadsafe(loop.call_later, GRACE_SECONDS, finish, number, frame)

    signal.signal(signal.SIGTERM, stop)


def _stop_listening(loop: asyncio.AbstractEventLoop, server: uvicorn.Server) -> None:
    server.server_state.default_headers.append((b"connection", b"close"))
    for one in server.servers:
        listening = [socket.socket(fileno=os.dup(sock.fileno())) for sock in one.sockets]
        one.close()  # the loop takes no more connections; what it has goes on
        for own in listening:
            with own:
                own.setblocking(False)
                _take_waiting(loop, server, own)
                # For all processes that share it. A worker that takes this one's place listens again, which revives it.
                own.shutdown(socket.SHUT_RDWR)


def _take_waiting(loop: asyncio.AbstractEventLoop, server: uvicorn.Server, listening: socket.socket) -> None:
    """Serves the connections that the system has taken already, as uvicorn would have a moment later."""
    config = server.config

    def protocol() -> asyncio.Protocol:
        make = cast("Callable[..., asyncio.Protocol]", config.http_protocol_class)  # as uvicorn itself calls it
        return make(config=config, server_state=server.server_state, app_state=server.lifespan.state)

    while True:
        try:
            connection, _ = listening.accept()
        except OSError:  # none waits
            return
        connection.setblocking(False)
        # uvicorn waits for its tasks before it ends.
        task = loop.create_task(_serve(loop, protocol, connection))
        server.server_state.tasks.add(task)
        task.add_done_callback(server.server_state.tasks.discard)


async def _serve(
    loop: asyncio.AbstractEventLoop, protocol: Callable[[], asyncio.Protocol], connection: socket.socket
) -> None:
    await loop.connect_accepted_socket(protocol, connection)
