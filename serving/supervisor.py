"""What BentoML's supervisor, circus, is to do better. To be called in its process before it starts workers.

It forgets a signal that comes while it looks after its workers, as it does at the start, every ten seconds, and when
one has died; here it is asked again until it has ended. Where it cannot listen it shows a traceback; here it says so in
one line. Knows nothing of the service.
"""

from __future__ import annotations

import sys

from circus.client import make_json
from circus.sighandler import SysHandler
from circus.sockets import CircusSocket

from policytag.errors import InputError
from serving.launch import free_address

ASK_AGAIN_SECONDS = 1.0


def ask_until_stopped() -> None:
    """Has circus ask itself to end until it does. To be called in the supervisor before it starts its workers."""

    def quit_surely(self: SysHandler) -> None:
        def ask() -> None:
            self.controller.dispatch((None, make_json("quit")))  # refused without effect where it ends already
            self.controller.loop.call_later(ASK_AGAIN_SECONDS, ask)

        self.controller.loop.add_callback_from_signal(ask)

    SysHandler.quit = quit_surely


def tell_taken_port() -> None:
    """Has circus end with one line and exit code 1 if it cannot listen where it was told to."""
    bind = CircusSocket.bind_and_listen

    def bind_or_end(self: CircusSocket) -> None:
        if not self.is_unix:
            try:
                free_address(self.host, self.port)  # pyright: ignore[reportArgumentType]  # untyped there
            except InputError as error:
                sys.exit(f"policytag: {error}")
        bind(self)

    CircusSocket.bind_and_listen = bind_or_end
