"""Refuses requests over a number under way, before a body is read or an event looked at."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from stream.errors import Overloaded
from stream.serve.access import GUARDED
from stream.serve.problems import kind_of, respond


class Shed:
    """ASGI middleware; what tells the operator how it stands is always let through.

    Parameters
    ----------
    app
        What it wraps.
    most
        Requests under way at most.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._under_way = 0
        full = Overloaded(f"{most} requests are under way already")
        after = {"Retry-After": str(full.retry_after_s)}
        self._refusal = respond(kind_of(full), str(full), headers=after)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(GUARDED):
            await self._app(scope, receive, send)
            return
        if self._under_way >= self._most:
            await self._refusal(scope, receive, send)
            return
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1
