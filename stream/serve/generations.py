"""Routes about the generations of the prototype index: what there is, going back, going on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response

from stream.errors import Conflict
from stream.serve.answers import Generations, Resumed, RolledBack
from stream.serve.openapi import json, problems
from stream.serve.view import ViewSource


def generations(views: ViewSource) -> APIRouter:
    """Make the router; orders are obeyed by the pipeline, after the answer."""
    router = APIRouter()

    @router.get("/v1/generations", response_model=Generations, responses=problems(500, 503))
    def look() -> Response:
        """List the generations of the index, whether training goes on, and the last verdicts."""
        return json(views.current().generations())

    @router.post(
        "/v1/generations/rollback",
        status_code=202,
        response_model=RolledBack,
        responses=problems(409, 500, 503),
    )
    def roll_back() -> Response:
        """Go back to the generation before; nothing is trained from then on, until `resume`."""
        now, to = between(views.current().generations())
        views.order({"what": "rollback", "from": now})
        return json({"from": now, "to": to}, 202)

    @router.post(
        "/v1/generations/resume",
        status_code=202,
        response_model=Resumed,
        responses=problems(409, 500, 503),
    )
    def resume() -> Response:
        """Train challengers again, after a rollback."""
        training = views.current().generations()["training"]
        if training["state"] != "held":
            raise Conflict(f"training is not held: {training['reason']}")
        views.order({"what": "resume"})
        return json({"training": "resumed"}, 202)

    return router


def between(found: Mapping[str, Any]) -> tuple[int, int]:
    """The generation in use and the one before.

    Raises
    ------
    Conflict
        There is none before, or another is being made.
    """
    _settled(found)
    by_state = {one["state"]: one["number"] for one in found["generations"]}
    if "before" not in by_state:
        raise Conflict(
            "there is no generation before the one in use to go back to; to stop training, start"
            " again with encoder.train=false"
        )
    return by_state["in use"], by_state["before"]


def _settled(found: Mapping[str, Any]) -> None:
    for one in found["generations"]:
        if one["state"] == "being made":
            raise Conflict(
                f"generation {one['number']} is being made; ask again once GET /v1/generations has"
                " it in use"
            )
