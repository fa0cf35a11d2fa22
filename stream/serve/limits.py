"""Reading a request body: bounded, plain, JSON; anything else is refused before it is parsed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from stream.errors import InvalidRequest

MOST_FIELDS = 64
"""Fields at the top of a body; each unknown one would become an error of its own."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class JsonRequest(Request):
    """A request whose body has been read and parsed already."""

    def __init__(self, request: Request, raw: bytes, parsed: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._raw = raw
        self._parsed = parsed

    async def body(self) -> bytes:
        """The bytes of the body."""
        return self._raw

    async def json(self) -> Any:
        """What the body says; orjson read it, which takes no NaN and no deep nesting."""
        return self._parsed


def json_route(limit: int, seconds: float) -> type[APIRoute]:
    """Make the class of routes whose JSON body has at most `limit` bytes and comes in `seconds`."""

    class JsonRoute(APIRoute):
        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()

            async def checked(request: Request) -> Response:
                _plain_json(request)
                raw = await _read(request, limit, seconds)
                request.state.body_bytes = len(raw)
                return await handle(JsonRequest(request, raw, _parse(raw)))

            return checked

    return JsonRoute


def _plain_json(request: Request) -> None:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    main, _, sub = media.partition("/")
    if main != "application" or not (sub == "json" or sub.endswith("+json")):
        raise InvalidRequest("content-type", "send application/json", status=415)
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise InvalidRequest("content-encoding", "send the body uncompressed", status=415)


async def _read(request: Request, limit: int, seconds: float) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > limit:
        raise _too_large(limit)
    chunks, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                chunks.append(chunk)
    except TimeoutError:
        slow = f"has not come within {seconds:g} s; send it faster, or fewer events"
        raise InvalidRequest("body", slow, status=408) from None
    except ClientDisconnect:
        raise InvalidRequest("body", "the client left while sending it", status=400) from None
    return b"".join(chunks)


def _parse(raw: bytes) -> Any:
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest("body", f"not JSON: {error}", status=400) from None
    if not isinstance(parsed, dict):
        raise InvalidRequest("body", f"a JSON {type(parsed).__name__}, not an object")
    if len(parsed) > MOST_FIELDS:
        raise InvalidRequest("body", f"{len(parsed)} fields; send `events`, and `k` to predict")
    return parsed


def _too_large(limit: int) -> InvalidRequest:
    return InvalidRequest("body", f"more than {limit} bytes; send fewer events", status=413)
