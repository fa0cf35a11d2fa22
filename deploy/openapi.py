"""Writes the endpoint's OpenAPI file: `make openapi`."""

from __future__ import annotations

from pathlib import Path

import orjson

from stream.clock import SystemClock
from stream.config import load
from stream.metrics import Metrics
from stream.serve.app import create_app
from stream.views import Publisher

FILE = Path(__file__).with_suffix(".json")


def text() -> bytes:
    """The file, as the code has it now."""
    metrics = Metrics()
    app = create_app(load(environ={}), Publisher(1.0, SystemClock(), metrics), None, metrics)
    return orjson.dumps(app.openapi(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


if __name__ == "__main__":
    FILE.write_bytes(text())
