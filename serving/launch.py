"""Starts the HTTP service as BentoML would, after making sure that it can start. Knows nothing of requests."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from policytag.errors import InputError, PolicytagError
from policytag.tagger import Tagger
from serving.settings import Settings

try:
    import resource
except ImportError:  # Windows
    resource = None

SERVICE = "serving.service:PolicyTagService"


def serve(model: Path, host: str, port: int) -> NoReturn:
    """Replaces this process by ``bentoml serve`` on a port that is free.

    Raises:
        InputError: If the address cannot be listened on.
    """
    address = free_address(host, port)
    environment = os.environ | {"POLICYTAG_MODEL": str(model.resolve())}
    environment.setdefault("BENTOML_DO_NOT_TRACK", "True")
    command = [sys.executable, "-m", "bentoml", "serve", SERVICE, "--host", address, "--port", str(port)]
    os.execve(sys.executable, command, environment)


def check_settings(folder: Path) -> None:
    """Ends this process with one line if the environment's settings are of no use or the model does not answer.

    Args:
        folder: Where the workers will run: a Bento is served from its source root, wherever the command was given.
    """
    try:
        Tagger.load(folder / Settings.from_environment().model, threads=1)
    except PolicytagError as error:
        sys.exit(f"policytag: {error}")


def raise_open_files() -> None:
    """Lets this process, and those it starts, hold as many connections as the system allows, not 1,024."""
    if resource is None:
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # the system says no: then with fewer
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def free_address(host: str, port: int) -> str:
    """The numeric address of ``host``, which BentoML wants, tried out.

    Raises:
        InputError: If it cannot be listened on.
    """
    where = f"{host}:{port}"
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        raise InputError(f"{where}: no such host; expected an address of this machine, such as 127.0.0.1") from None
    except OSError as error:
        remedy = "choose another with --port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "check --host"
        raise InputError(f"{where}: cannot listen there ({error.strerror}); {remedy}") from None
    return str(address[0])
