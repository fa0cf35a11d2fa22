"""Routes that take a body: predict, and events and feedback on their way to the topic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from stream.errors import InvalidRequest, SourceError
from stream.serve.access import SOURCE
from stream.serve.answers import Accepted, PredictResponse
from stream.serve.batcher import Batcher
from stream.serve.decode import Decoder, Fields
from stream.serve.limits import json_route
from stream.serve.openapi import json, problems
from stream.serve.paths import LABEL
from stream.serve.schema import (
    MOST_EXPLAINED,
    DescribeRequest,
    EventsRequest,
    FeedbackRequest,
    PredictRequest,
)
from stream.serve.view import Explanation
from stream.serve.work import Answer, Ask, Outgoing, Pair
from stream.types import Prediction

LabelPath = Annotated[str, Path(description="The label; slashes in it are its own.")]
Out = TypeVar("Out")
Predicting = Batcher[Ask, Answer]
Sending = Batcher[Outgoing, int]

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
        if body.explain and len(examples) > MOST_EXPLAINED:
            raise InvalidRequest("explain", f"for {MOST_EXPLAINED} events at most")
        among = () if body.labels is None else tuple(dict.fromkeys(body.labels))
        ask = Ask(examples, k, body.threshold, among, body.explain)
        answer = await predicting.submit(ask, len(examples))
        reasons: Sequence[Explanation | None] = answer.explanations or [None] * len(examples)
        pairs = zip(answer.predictions, reasons, strict=True)
        return json({"predictions": [_shown(one, why) for one, why in pairs]})

    async def send(
        request: Request, decode: Callable[..., list[Pair]], events: list[Fields]
    ) -> Response:
        if sending is None:
            raise SourceError("no inlet")
        signed = partial(decode, source=getattr(request.state, SOURCE, None))
        pairs = await _decode(request, signed, events)
        return json({"accepted": await sending.submit(Outgoing(pairs), len(pairs))}, 202)

    async def tell(label: str, text: str | None) -> Response:
        if sending is None:
            raise SourceError("no inlet")
        pair = decoder.description(label, text)
        return json({"accepted": await sending.submit(Outgoing(labels=[pair]), 1)}, 202)

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

    @router.put(LABEL, **taken)
    async def describe(label: LabelPath, body: DescribeRequest) -> Response:
        """Say what a label means, new or known; one that is retired is taken up again."""
        return await tell(label, body.description)

    both = APIRouter()
    both.include_router(router)
    taken["responses"] = problems(422, 429, 500, 503)

    @both.delete(LABEL, **taken)  # without a body, JSON or other
    async def retire(label: LabelPath) -> Response:
        """Retire a label: it is predicted no more, until an event or a description has it again."""
        return await tell(label, None)

    return both


async def _decode(
    request: Request, decode: Callable[[list[Fields]], Out], events: list[Fields]
) -> Out:
    if request.state.body_bytes > _LARGE:
        return await run_in_threadpool(decode, events)
    return decode(events)


def _shown(prediction: Prediction, why: Explanation | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": prediction.id,
        "top": [{"label": one.label, "score": one.score} for one in prediction.top],
        "chosen": prediction.chosen,
        "position": prediction.position,
    }
    if why is not None:
        shown["explanation"] = why
    return shown
