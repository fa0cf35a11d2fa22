"""Counts and times every request, and turns what nobody caught into a 500 without internals."""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stream.clock import Clock
from stream.metrics import Metrics
from stream.serve.problems import INTERNAL, respond
from stream.traces import Traces

UNMATCHED = "unmatched"

_log = logging.getLogger(__name__)


class Observe:
    """ASGI middleware around the whole app.

    Parameters
    ----------
    app
        What it wraps.
    metrics
        Where requests are counted; by the route's template, never by path.
    clock
        What they are timed with.
    traces
        Where they leave spans, if anywhere.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, clock: Clock, traces: Traces | None = None
    ) -> None:
        self._app = app
        self._traces = traces
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._traces is None:
            await self._watch(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        with self._traces.request(scope["method"], headers) as answered:
            answered(*await self._watch(scope, receive, send))

    async def _watch(self, scope: Scope, receive: Receive, send: Send) -> tuple[str, int]:
        """The route, and the status of its answer."""
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        begun = self._clock.monotonic()
        try:
            await self._app(scope, receive, watched)
        except Exception:
            _log.exception("unexpected error in %s %s", scope["method"], _route(scope))
            if status:  # too late for another answer; the server cuts the connection
                raise
            await respond(INTERNAL, INTERNAL.say)(scope, receive, watched)
        finally:
            if status:  # none when the client's task was cancelled first
                route = _route(scope)
                self._metrics.count("braid_http_requests_total", route=route, status=str(status))
                self._metrics.observe(
                    "braid_http_seconds", self._clock.monotonic() - begun, route=route
                )
        return _route(scope), status


def _route(scope: Scope) -> str:
    route = scope.get("route")
    return getattr(route, "path_format", None) or getattr(route, "path", None) or UNMATCHED
