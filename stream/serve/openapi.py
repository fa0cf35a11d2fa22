"""What all routes share on the way out: JSON by orjson, and problems in the OpenAPI file."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi

from stream.serve.access import GUARDED, needed
from stream.serve.answers import Problem
from stream.serve.problems import BY_STATUS, INTERNAL, MEDIA_TYPE

_REF = "#/components/schemas/{model}"
_TITLES = {429: "The endpoint is full", 500: INTERNAL.title, 503: "Not ready, or no way on"}


def json(content: Any, status: int = 200) -> Response:
    """Answer in JSON; dataclasses and numpy scalars are written as they are."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, media_type="application/json")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document which problems a route may answer with."""
    content = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}
    return {
        status: {
            "description": BY_STATUS[status].title if status in BY_STATUS else _TITLES[status],
            "content": content,
        }
        for status in statuses
    }


def document(app: FastAPI) -> None:
    """Put the problem's schema, which no route returns as a model, into the OpenAPI file."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            schema = Problem.model_json_schema(ref_template=_REF)
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(schema.pop("$defs", {}))
            schemas["Problem"] = schema
            made["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
            for path, operations in made["paths"].items():
                for method, operation in operations.items():
                    _complete(path, method, operation)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way FastAPI documents


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    """Say of an operation what the middleware around all of them may answer."""
    responses = operation["responses"]
    if path.startswith(GUARDED):
        responses |= {str(status): one for status, one in problems(429).items()}
    if needed(path, method) is not None:
        operation["security"] = [{}, {"bearer": []}]  # where the service asks for one
        responses |= {str(status): one for status, one in problems(401, 403).items()}
    given = operation.get("parameters", [])
    if method == "get" and all(one["in"] == "path" for one in given):
        responses.pop("422", None)  # FastAPI's guess: any path is a string
