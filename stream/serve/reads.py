"""Routes that only look: labels, partitions, drift, the model. Every answer is bounded."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from stream.errors import InvalidRequest
from stream.serve.answers import Drifts, Label, Labels, ModelInfo, Partitions, Tree
from stream.serve.openapi import json, problems
from stream.serve.paths import LABEL
from stream.serve.view import ViewSource

MOST = 1_000
Limit = Annotated[int, Query(ge=1, le=MOST, description="Entries in the answer at most.")]


def reads(views: ViewSource) -> APIRouter:
    """Make the router; each request answers from one view, off the event loop."""
    router = APIRouter()

    @router.get("/v1/labels", response_model=Labels, responses=problems(422, 500, 503))
    def labels(
        prefix: Annotated[
            str, Query(max_length=1_024, description="What they start with.", examples=["art"])
        ] = "",
        limit: Limit = 100,
    ) -> Response:
        """List labels that start with a prefix."""
        found = views.current().labels(prefix, limit + 1)
        return json({"labels": found[:limit], "more": len(found) > limit})

    @router.get(LABEL, response_model=Label, responses=problems(404, 500, 503))
    def label(
        label: Annotated[str, Path(description="The label; slashes in it are its own.")],
    ) -> Response:
        """Tell what is known of one label."""
        found = views.current().label(label)
        if found is None:
            raise InvalidRequest("label", f"no label {label[:100]!r} was ever seen", status=404)
        return json(found)

    @router.get("/v1/partitions", response_model=Partitions, responses=problems(422, 500, 503))
    def partitions(
        limit: Limit = 100,
        offset: Annotated[
            int, Query(ge=0, le=1_000_000_000, description="Entries to leave out.")
        ] = 0,
    ) -> Response:
        """List the label partitions, largest first."""
        found = views.current().partitions()
        return json({"partitions": found[offset : offset + limit], "total": len(found)})

    @router.get("/v1/partitions/tree", response_model=Tree, responses=problems(422, 500, 503))
    def tree(limit: Limit = 1_000) -> Response:
        """Show the partitions as a tree: who is joined with whom, the largest nodes first."""
        return json({"nodes": views.current().tree(limit)})

    @router.get("/v1/drift", response_model=Drifts, responses=problems(422, 500, 503))
    def drift(limit: Limit = 100) -> Response:
        """List the latest alarms, splits, merges and new labels, newest last."""
        return json({"events": list(views.current().drift())[-limit:]})

    @router.get("/v1/model", response_model=ModelInfo, responses=problems(500, 503))
    def model() -> Response:
        """Tell the model's position, sizes, memory, and index with the reason for it."""
        return json(views.current().model())

    return router
