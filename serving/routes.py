"""The ``GET`` routes, which BentoML's APIs cannot be, and the page, as an application that is mounted beside them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from policytag.tagger import Tagger
from serving import page
from serving.openapi import document
from serving.schemas import ModelResponse

# BentoML's own page at / loads a tracker from outside and advertises itself; this one shows the routes and no more.
_DOCS = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>policytag API</title>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'self' 'unsafe-inline'; img-src 'self' data:">
<link rel="stylesheet" href="static_content/swagger-ui.css"></head>
<body><div id="swagger-ui"></div><script src="static_content/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "docs.json", dom_id: "#swagger-ui"});</script></body></html>
"""


def _tagger() -> Tagger:
    return bentoml.get_current_service().models.current


def _json(content: Any) -> Response:
    return Response(json.dumps(content, ensure_ascii=False), media_type="application/json")


async def taxonomy(_: Request) -> Response:
    """``GET /v1/taxonomy``: every label with its names, definition and crosswalk."""
    return _json(_tagger().taxonomy.to_dict())


async def model(_: Request) -> Response:
    """``GET /v1/model``: what the model folder says of itself."""
    artifact = _tagger().artifact
    manifest, calibration = artifact.manifest, artifact.calibration
    about = asdict(manifest) | calibration.to_dict(artifact.taxonomy.ids)
    return _json({key: about[key] for key in ModelResponse.model_fields})


async def openapi(_: Request) -> Response:
    """``GET /docs.json``: the OpenAPI document."""
    return _json(document(_tagger().taxonomy))


async def docs(_: Request) -> Response:
    """``GET /docs``: the OpenAPI document, readable."""
    return HTMLResponse(_DOCS)


routes = Starlette(
    routes=[
        Route("/v1/taxonomy", taxonomy),
        Route("/v1/model", model),
        Route("/docs.json", openapi),
        Route("/docs", docs),
        *page.routes,
    ]
)
