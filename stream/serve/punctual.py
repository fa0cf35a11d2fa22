"""A connection whose requests must begin in time and briefly: heads neither drip nor swell.

Of a body `stream.serve.limits` sees to that, and of idle connections uvicorn; this is what lies
between, from the opening of a connection, or the first byte after an answer, to the end of a head.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

MOST_HEAD = 65_536
"""Bytes of a head; httptools has no limit of its own."""


def punctual(seconds: float) -> type[asyncio.Protocol]:
    """Make uvicorn's protocol with a limit on the time that a request's head takes."""

    class Punctual(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # chosen at import
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            self._late: asyncio.TimerHandle | None = None
            self._head = 0
            self._upgraded = False
            """Whether the connection is a websocket's now, and another protocol's."""

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            self._watch()
            super().data_received(data)
            if not self._answering() and not self._upgraded:
                self._head += len(data)
                if self._head > MOST_HEAD:
                    self._cut()
                return
            self._head = 0
            if self._late is not None:
                self._late.cancel()
                self._late = None

        def handle_websocket_upgrade(self, *args: Any) -> None:
            super().handle_websocket_upgrade(*args)
            self._upgraded = True

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self._late is not None:
                self._late.cancel()

        def _answering(self) -> bool:
            """Whether a head has come whole, and its answer has not gone yet."""
            return self.cycle is not None and not self.cycle.response_complete

        def _watch(self) -> None:
            if self._late is None and not self._answering():
                self._late = self.loop.call_later(seconds, self._cut)

        def _cut(self) -> None:
            self._late = None
            if not self._answering() and not self._upgraded:
                self.transport.abort()

    return Punctual
