"""The page at ``/`` and its files under ``/web``. What they show they ask of the API, as anybody does."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

HEADERS = {
    # Everything comes from this server and nothing is written into the page as code or style.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Asked again each time and answered 304: after an update nobody runs yesterday's script.
    "Cache-Control": "no-cache",
}

FOLDER = Path(str(files("serving") / "web"))


class _Files(StaticFiles):
    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(HEADERS)
        return response


async def home(_: Request) -> Response:
    """``GET /``."""
    return FileResponse(FOLDER / "index.html", headers=HEADERS)


routes: list[BaseRoute] = [Route("/", home), Mount("/web", _Files(directory=FOLDER))]
