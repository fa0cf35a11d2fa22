"""Routes that take a body: predict, and events and feedback on their way to the topic."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from stream.errors import SourceError
from stream.serve.access import SOURCE
from stream.serve.answers import Accepted, PredictResponse
from stream.serve.batcher import Batcher
from stream.serve.decode import Decoder, Fields
from stream.serve.limits import json_route
from stream.serve.openapi import json, problems
from stream.serve.schema import EventsRequest, FeedbackRequest, PredictRequest
from stream.serve.work import Ask, Pair
from stream.types import Prediction

Out = TypeVar("Out")
Predicting = Batcher[Ask, list[Prediction]]
Sending = Batcher[list[Pair], int]

_LARGE = 65_536
"""Bytes of a body above which its events are checked off the event loop."""


def writes(
    decoder: Decoder,
    predicting: Predicting,
    sending: Sending | None,
    *,
    top_k: int,
    limit: int,
    body_s: float,
) -> APIRouter:
    """Make the router; without `sending`, events and feedback are refused with 503."""
    router = APIRouter(route_class=json_route(limit, body_s))

    @router.post(
        "/v1/predict",
        response_model=PredictResponse,
        responses=problems(400, 408, 413, 415, 422, 429, 500, 503),
    )
    async def predict(request: Request, body: PredictRequest) -> Response:
        """Tag events with the labels that fit them."""
        examples = await _decode(request, decoder.questions, body.events)
        k = top_k if body.k is None else body.k
        predictions = await predicting.submit(Ask(examples, k), len(examples))
        return json({"predictions": [_shown(one) for one in predictions]})

    async def send(
        request: Request, decode: Callable[..., list[Pair]], events: list[Fields]
    ) -> Response:
        if sending is None:
            raise SourceError("no inlet")
        signed = partial(decode, source=getattr(request.state, SOURCE, None))
        pairs = await _decode(request, signed, events)
        return json({"accepted": await sending.submit(pairs, len(pairs))}, 202)

    taken: dict[str, Any] = {
        "status_code": 202,
        "response_model": Accepted,
        "responses": problems(400, 408, 413, 415, 422, 429, 500, 503),
    }

    @router.post("/v1/events", **taken)
    async def events(request: Request, body: EventsRequest) -> Response:
        """Send events to the event topic; they are predicted and learnt from there."""
        return await send(request, decoder.events, body.events)

    @router.post("/v1/feedback", **taken)
    async def feedback(request: Request, body: FeedbackRequest) -> Response:
        """Send the labels of earlier events to the event topic."""
        return await send(request, decoder.feedback, body.events)

    return router


async def _decode(
    request: Request, decode: Callable[[list[Fields]], Out], events: list[Fields]
) -> Out:
    if request.state.body_bytes > _LARGE:
        return await run_in_threadpool(decode, events)
    return decode(events)


def _shown(prediction: Prediction) -> dict[str, Any]:
    return {
        "id": prediction.id,
        "top": [{"label": one.label, "score": one.score} for one in prediction.top],
        "chosen": prediction.chosen,
        "position": prediction.position,
    }
