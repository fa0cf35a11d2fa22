"""Every error that leaves the endpoint is a problem document (RFC 9457), made here.

`KINDS` maps the error tree of `stream.errors` to HTTP; `BY_STATUS` serves what the framework
raises and `InvalidRequest`, which brings its own status.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from stream import errors

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    """One kind of problem.

    Parameters
    ----------
    status
        The HTTP status.
    slug
        The end of its type, `/problems/SLUG`.
    title
        The same sentence for every occurrence.
    say
        What the caller reads in place of the error's own message, where that is for the
        operator's eyes; empty: the message itself.
    """

    status: int
    slug: str
    title: str
    say: str = ""


INTERNAL = Kind(
    500, "internal", "The service failed", "an unexpected error; it is in the service's log"
)
_INVALID = Kind(422, "invalid-request", "The request does not fit")
_CONFLICT = Kind(409, "conflict", "This cannot be done now")
_CLOSED = Kind(
    503,
    "no-inlet",
    "Events are not taken here",
    "this endpoint cannot send events on; produce them to the event topic",
)
_UNAVAILABLE = Kind(
    503,
    "unavailable",
    "Events cannot be taken now",
    "the event topic cannot be reached; send the same request again",
)

KINDS: Mapping[type[errors.BraidError], Kind] = {
    errors.InvalidRequest: _INVALID,
    errors.InvalidRecord: _INVALID,
    errors.Conflict: _CONFLICT,
    errors.Overloaded: Kind(429, "overloaded", "The endpoint is full"),
    errors.NotReady: Kind(503, "not-ready", "The service is not ready"),
    errors.SourceError: _CLOSED,
    errors.AccessDenied: _CLOSED,
    errors.Unavailable: _UNAVAILABLE,
    errors.CommitFailed: _UNAVAILABLE,
    errors.BraidError: INTERNAL,
}

BY_STATUS: Mapping[int, Kind] = {
    kind.status: kind
    for kind in (
        Kind(400, "malformed", "The request cannot be read"),
        Kind(401, "unauthorized", "Who asks is not known"),
        Kind(403, "forbidden", "The token does not allow this"),
        Kind(404, "not-found", "There is no such thing"),
        Kind(405, "method-not-allowed", "The path does not take this method"),
        Kind(408, "too-slow", "The body came too slowly"),
        _CONFLICT,
        Kind(413, "too-large", "The body is too large"),
        Kind(415, "unsupported-media-type", "The body is not plain JSON"),
        _INVALID,
    )
}

_FIELDS = {404: "path", 405: "method", 413: "body", 415: "content-type"}


def kind_of(error: errors.BraidError) -> Kind:
    """The kind of an error: its class's row in `KINDS`, or its nearest ancestor's."""
    if isinstance(error, errors.InvalidRequest):
        return BY_STATUS.get(error.status, _INVALID)
    return next(KINDS[base] for base in type(error).__mro__ if base in KINDS)


def respond(
    kind: Kind,
    detail: str,
    wrong: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    request: Request | None = None,
) -> Response:
    """Write a problem document; `wrong` holds a field and a message for each part at fault.

    Where the `request` speaks the Open Inference Protocol its own `error` stands there too.
    """
    body: dict[str, Any] = {
        "type": f"/problems/{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "errors": [{"field": field, "message": message} for field, message in wrong],
    }
    if request is not None and request.url.path.startswith("/v2"):
        body["error"] = detail
    return Response(orjson.dumps(body), kind.status, headers=headers, media_type=MEDIA_TYPE)


async def on_braid_error(request: Request, error: Exception) -> Response:
    """Answer an error of our own tree."""
    assert isinstance(error, errors.BraidError)
    kind = kind_of(error)
    headers = {}
    if kind.status == 408:
        headers["Connection"] = "close"  # the rest of the body would be read as a request
    if isinstance(error, errors.Overloaded):
        headers["Retry-After"] = str(error.retry_after_s)
    elif error.retriable:
        headers["Retry-After"] = "1"
    if kind.say:
        _log.error("%s: %s %s", type(error).__name__, error, error.remedy)
    if isinstance(error, errors.InvalidRequest):
        wrong = [(error.field, str(error))]
        return respond(kind, f"{error.field}: {error}", wrong, headers, request)
    return respond(kind, kind.say or str(error), headers=headers, request=request)


async def on_validation_error(request: Request, error: Exception) -> Response:
    """Answer a body or parameter that does not fit its model."""
    assert isinstance(error, RequestValidationError)
    wrong = [(_field(e["loc"]), str(e["msg"])) for e in error.errors()[:MOST_ERRORS]]
    detail = "; ".join(f"{field}: {message}" for field, message in wrong)
    return respond(_INVALID, detail, wrong, request=request)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the router raises: no such path, no such method."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    kind = BY_STATUS.get(status, Kind(status, f"http-{status}", "The request failed"))
    headers = dict(error.headers or {})
    detail = error.detail
    if status == 404:
        detail = "no such path; GET / lists them"
    elif status == 405:
        detail = f"allowed here: {headers.get('allow') or headers.get('Allow', '')}"
    wrong = [(_FIELDS[status], detail)] if status in _FIELDS else []
    return respond(kind, detail, wrong, headers, request)


def install(app: FastAPI) -> None:
    """Make an app answer every expected error as a problem."""
    app.add_exception_handler(errors.BraidError, on_braid_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(HTTPException, on_http_error)


def _field(location: Sequence[Any]) -> str:
    """`events.3` of `("body", "events", 3)`; the place itself when nothing is below it."""
    parts = location[1:] or location
    return ".".join(str(part)[:100] for part in parts)
