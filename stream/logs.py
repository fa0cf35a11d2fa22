"""Where the log of a service goes: lines of text, or of JSON for machines.

A line of JSON has `ts`, `level`, `logger` and `message`; `position` once events are learnt;
`topic`, `partition`, `offset` and `trace_id` where it is about one record; `exception` where one
was raised.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from stream.config import Log
from stream.types import Record

TRACEPARENT = "traceparent"
"""The header of W3C Trace Context, in Kafka as in HTTP."""
_CHATTY = {"kafka": logging.ERROR, "faiss": logging.WARNING, "opentelemetry": logging.ERROR}
_PLACE = "place"
_TRACE_AT = slice(3, 35)  # of the trace id in a traceparent


def to_stderr(settings: Log) -> None:
    """Log to stderr from now on; on SIGABRT also where every thread is."""
    faulthandler.enable()
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    handler.setFormatter(Lines() if settings.format == "json" else plain)
    logging.basicConfig(level=settings.level.upper(), handlers=[handler])
    for name, level in _CHATTY.items():
        logging.getLogger(name).setLevel(level)


def at(record: Record) -> dict[str, Any]:
    """What to give as `extra` for a line about a record."""
    place: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
    }
    for name, value in record.headers:
        if name == TRACEPARENT and len(value) == 55:
            place["trace_id"] = value[_TRACE_AT].decode("ascii", "replace")
    return {_PLACE: place}


def _trace() -> dict[str, str]:
    """Of the request under way, where requests are traced."""
    if Lines.span is None:
        return {}
    context = Lines.span().get_span_context()
    return {"trace_id": f"{context.trace_id:032x}"} if context.is_valid else {}


class Lines(logging.Formatter):
    """A JSON object a line."""

    position: int | None = None
    """Labelled events learnt, as the loop last said; of the process, as the log is."""
    span: Callable[[], Any] | None = None
    """Gives the span under way, where there are traces."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; what cannot be written as JSON is written as it prints."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "ts": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if Lines.position is not None:
            line["position"] = Lines.position
        line |= _trace() | getattr(record, _PLACE, {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str).decode()
        except TypeError:  # a lone surrogate, as in odd file names; this one escapes it
            return json.dumps(line, default=str)
