"""The Open Inference Protocol (V2), so that the service drops into gateways that speak it.

One model, `braid`, with a tensor of texts or of vectors in, and out tensors of k labels an event:
`labels` (BYTES), `scores` (FP32) and `chosen` (BOOL), whether a label is in the chosen set. Where
fewer than k labels have a score, rows end in empty labels with a score of 0.
"""

from __future__ import annotations

from itertools import chain
from math import prod
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from pydantic import Field

from stream.errors import InvalidRequest, NotReady
from stream.serve.batcher import Batcher
from stream.serve.decode import Decoder, Fields
from stream.serve.limits import json_route
from stream.serve.openapi import json, problems
from stream.serve.schema import MOST_K, Body
from stream.serve.view import ViewSource
from stream.serve.work import Answer, Ask

NAME = "braid"
VERSION = "1"
_TENSORS: list[dict[str, Any]] = [
    {"name": "labels", "datatype": "BYTES", "shape": [-1, -1]},
    {"name": "scores", "datatype": "FP32", "shape": [-1, -1]},
    {"name": "chosen", "datatype": "BOOL", "shape": [-1, -1]},
]
_INPUTS = [
    {"name": "text", "datatype": "BYTES", "shape": [-1]},
    {"name": "vector", "datatype": "FP32", "shape": [-1, -1]},
]
ModelName = Annotated[str, Path(description=f"`{NAME}`, the only one.", examples=[NAME])]
Version = Annotated[str, Path(description=f"`{VERSION}`, the only one.", examples=[VERSION])]


class Parameters(Body):
    """Of a request."""

    k: int | None = Field(None, ge=1, le=MOST_K, description="Labels an event.")


class Tensor(Body):
    """A tensor in JSON: `data` in row-major order, flat or nested."""

    name: Literal["text", "vector"]
    shape: list[Annotated[int, Field(ge=1)]] = Field(min_length=1, max_length=2)
    datatype: Literal["BYTES", "FP32", "FP64"]
    parameters: dict[str, Any] | None = None
    data: list[Any] = Field(min_length=1)


class Wanted(Body):
    """An output that is asked for."""

    name: Literal["labels", "scores", "chosen"]
    parameters: dict[str, Any] | None = None


class InferRequest(Body):
    """Events to tag: one tensor, of texts or of vectors."""

    model_config = Body.model_config | {
        "json_schema_extra": {
            "examples": [
                {
                    "id": "a",
                    "parameters": {"k": 5},
                    "inputs": [
                        {
                            "name": "text",
                            "shape": [1],
                            "datatype": "BYTES",
                            "data": ["late gothic altarpieces"],
                        }
                    ],
                }
            ]
        }
    }
    id: str | None = None
    parameters: Parameters | None = None
    inputs: list[Tensor] = Field(min_length=1, max_length=1)
    outputs: list[Wanted] | None = Field(None, description="Default: all.")


class OutTensor(Body):
    """A tensor of the answer; `data` is flat, in row-major order."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class InferResponse(Body):
    """The tags, row by row of the input."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutTensor]


def inference(
    decoder: Decoder, predicting: Batcher[Ask, Answer], views: ViewSource, *, top_k: int,
    limit: int, body_s: float, version: str,
) -> APIRouter:  # fmt: skip
    """Make the router."""
    router = APIRouter(prefix="/v2")
    asked = APIRouter(route_class=json_route(limit, body_s))

    @router.get("")
    async def server() -> Response:
        """Tell name and version of the server."""
        return json({"name": "braidstream", "version": version, "extensions": []})

    @router.get("/health/live")
    async def live() -> Response:
        """Say that the server answers."""
        return json({"live": True})

    @router.get("/health/ready", responses=problems(503))
    async def ready() -> Response:
        """Say that the server can predict."""
        _ready(views)
        return json({"ready": True})

    @router.get("/models/{name}", responses=problems(404))
    async def model(name: ModelName) -> Response:
        """Tell the model's tensors."""
        _known(name)
        return json(
            {
                "name": NAME,
                "versions": [VERSION],
                "platform": "braidstream",
                "inputs": _INPUTS,
                "outputs": _TENSORS,
            }
        )

    @router.get("/models/{name}/ready", responses=problems(404, 503))
    async def model_ready(name: ModelName) -> Response:
        """Say that the model can predict."""
        _known(name)
        _ready(views)
        return json({"name": NAME, "ready": True})

    @router.get("/models/{name}/versions/{number}", responses=problems(404))
    async def model_version(name: ModelName, number: Version) -> Response:
        """Tell the tensors of the only version."""
        _known(name, number)
        return await model(name)

    @router.get("/models/{name}/versions/{number}/ready", responses=problems(404, 503))
    async def version_ready(name: ModelName, number: Version) -> Response:
        """Say that the only version can predict."""
        _known(name, number)
        return await model_ready(name)

    documented: dict[str, Any] = {
        "response_model": InferResponse,
        "responses": problems(400, 404, 408, 413, 415, 422, 429, 500, 503),
    }

    @asked.post("/models/{name}/infer", **documented)
    async def infer(name: ModelName, body: InferRequest) -> Response:
        """Tag the rows of a tensor."""
        _known(name)
        examples = decoder.questions(_events(body.inputs[0]))
        given = body.parameters and body.parameters.k
        k = given or top_k
        answer = await predicting.submit(Ask(examples, k), len(examples))
        outputs = _outputs(answer, k)
        names = [tensor["name"] for tensor in _TENSORS]
        if body.outputs:
            names = list(dict.fromkeys(one.name for one in body.outputs))
        shown = {"model_name": NAME, "model_version": VERSION}
        if body.id is not None:
            shown["id"] = body.id
        return json(shown | {"outputs": [outputs[name] for name in names]})

    @asked.post("/models/{name}/versions/{number}/infer", **documented)
    async def infer_version(name: ModelName, body: InferRequest, number: Version) -> Response:
        """Tag the rows of a tensor by the only version."""
        _known(name, number)
        return await infer(name, body)

    router.include_router(asked)
    return router


def _ready(views: ViewSource) -> None:
    status = views.status()
    if not status.get("ready"):
        raise NotReady(str(status.get("reason") or "no reason was given"))


def _known(name: str, number: str = VERSION) -> None:
    if name != NAME:
        raise InvalidRequest("name", f"the only model is {NAME!r}", status=404)
    if number != VERSION:
        raise InvalidRequest("number", f"the only version is {VERSION!r}", status=404)


def _events(tensor: Tensor) -> list[Fields]:
    """Each row of a tensor as an event."""
    rows = tensor.shape[0]
    if tensor.name == "text":
        if tensor.datatype != "BYTES":
            raise InvalidRequest("inputs.0.datatype", "texts are BYTES")
        texts = _flat(tensor.data)
        if len(texts) != prod(tensor.shape) or rows != len(texts):
            raise InvalidRequest("inputs.0.shape", f"{len(texts)} texts: the shape is theirs")
        return [{"text": text} for text in texts]
    if tensor.datatype == "BYTES" or len(tensor.shape) != 2:
        raise InvalidRequest("inputs.0", "vectors are FP32 or FP64, with a shape of two numbers")
    numbers, width = _flat(tensor.data), tensor.shape[1]
    if len(numbers) != rows * width:
        raise InvalidRequest("inputs.0.shape", f"{len(numbers)} numbers are not {rows} x {width}")
    return [{"vector": numbers[at : at + width]} for at in range(0, len(numbers), width)]


def _flat(data: list[Any]) -> list[Any]:
    """Data without nesting; what is nested deeper than two levels the codec refuses."""
    if any(isinstance(part, list) for part in data):
        return list(chain.from_iterable(p if isinstance(p, list) else [p] for p in data))
    return data


def _outputs(answer: Answer, k: int) -> dict[str, dict[str, Any]]:
    """All tensors; as wide as the longest answer, so that a large k costs nothing."""
    wide = min(k, max((len(one.top) for one in answer.predictions), default=0))
    labels: list[str] = []
    scores: list[float] = []
    chosen: list[bool] = []
    for one in answer.predictions:
        missing = wide - len(one.top)
        labels += [each.label for each in one.top] + [""] * missing
        scores += [each.score for each in one.top] + [0.0] * missing
        inside = set(one.chosen)
        chosen += [each.label in inside for each in one.top] + [False] * missing
    shape = [len(answer.predictions), wide]
    data: dict[str, list[Any]] = {"labels": labels, "scores": scores, "chosen": chosen}
    return {one["name"]: one | {"shape": shape, "data": data[one["name"]]} for one in _TENSORS}
