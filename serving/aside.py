"""Work that may take long, kept off the event loop: the probes must be answered meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio.to_thread

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

INLINE_SIZE = 64 * 1024
"""Bytes or characters that are dealt with at once; handing over to a thread costs more than they do."""


async def aside(size: int, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """``function(*arguments)``, in a thread if it has to do with more than `INLINE_SIZE`."""
    if size <= INLINE_SIZE:
        return function(*arguments)
    return await anyio.to_thread.run_sync(function, *arguments)
