"""Fixtures of the doors: rows made by hand, the service in this process, and a real server in another."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

RunningServer = Callable[[list[str], dict[str, str]], AbstractContextManager[str]]


@pytest.fixture(scope="session", autouse=True)
def environment(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The tiny model is the one served, and BentoML keeps its files out of the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POLICYTAG_MODEL", str(tiny_model))
        patch.setenv("POLICYTAG_CORRECTIONS", f"sqlite:///{tmp_path_factory.mktemp('corrections') / 'kept.sqlite'}")
        patch.setenv("BENTOML_HOME", str(tmp_path_factory.mktemp("bentoml")))
        patch.setenv("BENTOML_DO_NOT_TRACK", "True")
        yield


@pytest.fixture(scope="session")
def client(environment: None) -> Iterator[TestClient]:
    """The service through ASGI. One for the session: a second ``to_asgi`` registers its metrics twice and fails."""
    from serving.service import PolicyTagService

    with TestClient(PolicyTagService.to_asgi(), raise_server_exceptions=False) as client:  # pyright: ignore[reportArgumentType]
        yield client


@pytest.fixture(scope="session")
def server(environment: None, running_server: RunningServer) -> Iterator[str]:
    """The URL of a server that ``policytag serve`` started."""
    with running_server([sys.executable, "-m", "serving.cli", "serve"], dict(os.environ)) as url:
        yield url
