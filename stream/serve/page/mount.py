"""Mounts the page lazily: what serves it is imported when a browser first asks.

A start without the page pays nothing for it, and so does every test that makes an app. What
serves the page keeps its state by process, so one endpoint of a process can have it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stream.errors import BraidError, NotReady, Overloaded
from stream.serve.page.window import Window
from stream.serve.problems import kind_of, respond

PREFIX = "/_nicegui"
"""Where its scripts and its socket are."""
MOST = 128
"""Requests and sockets under way at most; a page holds one socket."""
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "object-src 'none'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing is loaded from elsewhere; the scripts are compiled from what the socket brings."""
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]

_log = logging.getLogger(__name__)


class Live:
    """The page's history from the start on, and what serves it from the first look on.

    Parameters
    ----------
    window
        What the page shows.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self._opening = asyncio.Lock()
        self._page: ASGIApp | None = None
        self._ending: AbstractAsyncContextManager[object] | None = None
        self._failed: BraidError | None = None

    def start(self) -> None:
        """Begin to sample."""
        self._window.history.start()

    async def close(self) -> None:
        """End both."""
        self._failed = NotReady("the endpoint is stopping")
        self._window.history.close()
        if self._ending is not None:
            await self._ending.__aexit__(None, None, None)

    async def page(self) -> ASGIApp:
        """What serves the page, made on the first call.

        Raises
        ------
        BraidError
            It cannot be made here, or not any more.
        """
        async with self._opening:
            if self._failed is None and self._page is None:
                try:
                    page, ending = await asyncio.to_thread(_make, self._window)
                    await ending.__aenter__()
                except BraidError as error:
                    self._failed = error
                else:
                    self._page, self._ending = page, ending
            if self._failed is not None:
                raise self._failed
            assert self._page is not None, "made"
            return self._page


class Page:
    """ASGI middleware that passes on what is not the page's.

    Parameters
    ----------
    app
        What it wraps.
    live
        Serves the page.
    """

    def __init__(self, app: ASGIApp, live: Live) -> None:
        self._app = app
        self._live = live
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_page(scope):
            await self._app(scope, receive, send)
            return
        # requests are counted by route
        scope["route"] = SimpleNamespace(path="/" if scope["path"] == "/" else f"{PREFIX}/*")
        if scope["type"] == "websocket" and not _same_origin(scope):
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            if self._under_way >= MOST:
                raise Overloaded(f"{MOST} requests and sockets of the page are open already")
            page = await self._live.page()
        except BraidError as error:
            await _refuse(error, scope, receive, send)
            return
        self._under_way += 1
        try:
            # a copy: what serves the page writes its own routes into its scope
            await page(dict(scope), receive, _marked(send))
        finally:
            self._under_way -= 1


def _make(window: Window) -> tuple[ASGIApp, AbstractAsyncContextManager[object]]:
    from stream.serve.page.layout import serve

    return serve(window)


def _is_page(scope: Scope) -> bool:
    """Whether a browser asks for the page, or the page for its parts."""
    if scope["type"] not in {"http", "websocket"}:
        return False
    if scope["path"] != "/":
        return bool(scope["path"].startswith(PREFIX))
    return scope["type"] == "http" and scope["method"] == "GET" and b"text/html" in _accepts(scope)


def _accepts(scope: Scope) -> bytes:
    return b",".join(value for name, value in scope["headers"] if name == b"accept")


def _same_origin(scope: Scope) -> bool:
    """Whether a socket is opened by a page of this endpoint; what is no browser has no origin."""
    headers = dict(scope["headers"])
    origin = headers.get(b"origin")
    return origin is None or origin.partition(b"://")[2] == headers.get(b"host")


def _marked(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *_HEADERS]}
        await send(message)

    return sending


async def _refuse(error: BraidError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1013})
        return
    kind = kind_of(error)
    if not isinstance(error, Overloaded):
        _log.warning("the page cannot be shown: %s", error)
    await respond(kind, kind.say or str(error))(scope, receive, send)
