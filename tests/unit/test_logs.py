"""Lines of JSON: what they hold, whatever is logged."""

from __future__ import annotations

import json
import logging
import sys

import orjson
import pytest

from stream import logs
from stream.clock import ManualClock
from stream.letters import LetterLog
from stream.types import DeadLetter, Record

TRACE = "0af7651916cd43dd8448eb211c80319c"


def line(message: str, *args: object, **more: object) -> dict[str, object]:
    logger = logging.getLogger("stream.test")
    record = logger.makeRecord("stream.test", 30, "f", 1, message, args, None, **more)
    text = logs.Lines().format(record)
    assert "\n" not in text
    return json.loads(text)


def test_a_line_says_when_what_and_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs.Lines, "position", 7)
    header = ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode())
    found = line("ä\n%d", 3, extra=logs.at(Record("t", 2, 5, None, None, headers=(header,))))
    assert found.pop("ts").endswith("+00:00")
    assert found == {
        "level": "warning", "logger": "stream.test", "message": "ä\n3", "position": 7,
        "topic": "t", "partition": 2, "offset": 5, "trace_id": TRACE,
    }  # fmt: skip


def test_a_header_that_is_no_trace_is_left_out() -> None:
    place = logs.at(Record("t", 0, 1, None, None, headers=(("traceparent", b"x"),)))
    assert "trace_id" not in line("x", extra=place)


def test_a_text_that_is_no_unicode_is_escaped() -> None:
    assert line("a file \udc80")["message"] == "a file \udc80"


def test_an_exception_is_told_in_the_same_line() -> None:
    def fail() -> None:
        raise ValueError("bad")

    try:
        fail()
    except ValueError:
        logger = logging.getLogger("stream.test")
        record = logger.makeRecord("stream.test", 40, "f", 1, "failed", (), sys.exc_info())
    assert "ValueError: bad" in orjson.loads(logs.Lines().format(record))["exception"]


def test_many_dead_letters_are_a_line_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    kept = LetterLog(clock)
    letters = [DeadLetter(Record("t", 0, n, None, None), "not_json", f"no {n}") for n in range(9)]
    kept.note(letters[:1])
    kept.note(letters[1:8])
    clock.advance(2)
    kept.note([])
    kept.note(letters[8:])
    first, second = (record.getMessage() for record in caplog.records)
    assert first == "1 dead letters, the last: not_json: no 0"
    assert second == "8 dead letters, the last: not_json: no 8"
    assert caplog.records[1].place["offset"] == 8
