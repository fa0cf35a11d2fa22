"""A connection whose requests must begin in time: their heads may not drip for ever.

Of a body `stream.serve.limits` sees to that, and of idle connections uvicorn; this is what lies
between, from the opening of a connection, or the first byte after an answer, to the end of a head.
"""

from __future__ import annotations

import asyncio
from typing import Any

# httptools would be faster, but loses the body of a request that offers to upgrade to HTTP/2
from uvicorn.protocols.http.h11_impl import H11Protocol


def punctual(seconds: float) -> type[asyncio.Protocol]:
    """Make uvicorn's protocol with a limit on the time that a request's head takes."""

    class Punctual(H11Protocol):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            self._late: asyncio.TimerHandle | None = None
            self._upgraded = False
            """Whether the connection is a websocket's now, and another protocol's."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            self._watch()
            super().data_received(data)
            if (self._answering() or self._upgraded) and self._late is not None:
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
