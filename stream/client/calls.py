"""What a client asks for, as requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

Event = str | Mapping[str, Any]
"""A text, or an event as the endpoint takes it."""


@dataclass(frozen=True)
class Call:
    """A request: its path, its body as JSON if it has one, and its method."""

    path: str
    body: Mapping[str, Any] | None
    method: str = "POST"


def predicting(events: Sequence[Event], **asked_for: Any) -> Call:
    """Ask for the labels of events."""
    if isinstance(events, str):
        raise TypeError("events is one string: pass a list, such as [text]")
    asked = [{"text": one} if isinstance(one, str) else dict(one) for one in events]
    named = {name: value for name, value in asked_for.items() if value is not None}
    return Call("/v1/predict", {"events": asked} | named)


def teaching(labels: Mapping[str, Sequence[str]]) -> Call:
    """Send labels of earlier events."""
    given = [{"id": name, "labels": list(those)} for name, those in labels.items()]
    return Call("/v1/feedback", {"events": given})


def telling(label: str, text: str | None) -> Call:
    """Describe a label, or retire it."""
    # a client would take dots between slashes for steps in the path
    path = "/v1/labels/" + quote(label, safe="/").replace(".", "%2E")
    return Call(path, None, "DELETE") if text is None else Call(path, {"description": text}, "PUT")
