"""What the service tells of itself beside its metrics: the log, and traces."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from stream.config.section import Section


class Log(Section):
    """The log, on stderr."""

    format: Literal["text", "json"] = "text"
    """Lines for people, or a JSON object a line, with positions and trace ids."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""


class Traces(Section):
    """OpenTelemetry traces; needs the extra `traces`."""

    endpoint: str | None = None
    """URL of a collector that takes OTLP over HTTP, such as `http://localhost:4318/v1/traces`;
    unset, there are none."""
    share: float = Field(0.0, ge=0, le=1)
    """Share of events and requests to begin a trace with, where they come without one. Those that
    come with one are traced as its beginner decided."""

    @field_validator("endpoint")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("write a URL, such as http://localhost:4318/v1/traces")
        return value
