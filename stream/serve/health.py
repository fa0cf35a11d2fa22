"""Routes for the machinery around the service: liveness, readiness, metrics, the index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from stream.errors import NotReady
from stream.metrics import Metrics
from stream.serve.openapi import json, problems
from stream.serve.view import ViewSource


def health(
    views: ViewSource, metrics: Metrics, elsewhere: Callable[[], bytes] | None = None
) -> APIRouter:
    """Make the router; see `stream.serve.app.create_app`."""
    router = APIRouter()

    @router.get("/livez")
    async def livez() -> Response:
        """Say that the endpoint answers."""
        return json({"live": True})

    @router.get("/readyz", responses=problems(503))
    async def readyz() -> Response:
        """Say whether the service can predict; if not, why."""
        status = views.status()
        if not status.get("ready"):
            raise NotReady(str(status.get("reason") or "no reason was given"))
        return json(status)

    @router.get(
        "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}}
    )
    def prometheus() -> Response:
        """Give the metrics in Prometheus' text format."""
        text = metrics.exposition(http=True)
        text += metrics.exposition(http=False) if elsewhere is None else elsewhere()
        # the header is set whole: Starlette would add a second charset to a media type
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    @router.get("/")
    async def index(request: Request) -> Response:
        """List the routes."""
        paths: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
        routes = [
            {"method": method.upper(), "path": path, "what": operation["description"]}
            for path, operations in paths.items()
            for method, operation in operations.items()
        ]
        return json({"service": request.app.title, "openapi": "/openapi.json", "routes": routes})

    return router
