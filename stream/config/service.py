"""Limits on events, snapshots, the endpoint and the loop."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from stream.config.section import Section


class Limits(Section):
    """What an event may weigh; what is over goes to the dead letters."""

    record_bytes: int = Field(1_000_000, ge=1_000)
    """Bytes of a whole record."""
    id_bytes: int = Field(256, ge=1)
    """Bytes of an event id."""
    label_bytes: int = Field(1_024, ge=1)
    """Bytes of a label."""
    labels: int = Field(1_000, ge=1, le=10_000)
    """Labels of an event."""
    features: int = Field(100_000, ge=1)
    """Features, or vector entries, of an event."""


class DeadLetters(Section):
    """When a partition that brings mostly dead letters is held, rather than drained into them."""

    consecutive: int = Field(1_000, ge=0)
    """Dead letters of one partition in a row from which it is held; 0 for never."""
    share: float = Field(0.5, gt=0, le=1)
    """Share of dead letters in a partition's last records above which it is held; 1 for never."""
    window: int = Field(2_000, ge=10, le=1_000_000)
    """Records that the share is taken of: the last half of so many, to so many."""


class Checkpoint(Section):
    """Snapshots."""

    folder: Path | None = None
    """Where snapshots go; none are written when unset. Each member needs a folder of its own."""
    start_from: Path | None = None
    """Where a member without a snapshot of its own looks for another's, such as the folder that
    holds the folders of all members; the newest is taken, and nothing is written there."""
    interval_s: float = Field(60.0, gt=0)
    """Seconds between snapshots."""
    keep: int = Field(2, ge=1, le=100)
    """Snapshots kept."""


class Serve(Section):
    """The endpoint."""

    enabled: bool = True
    """Whether `braid run` opens the endpoint."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(8080, ge=0, le=65_535)
    """Port to listen on; 0 picks a free one."""
    tokens_file: Path | None = None
    """File with a line `NAME SCOPES SECRET` for each bearer token, scopes being predict, feedback
    and admin; unset, all may ask. A changed file is read again within a second."""
    tls_certfile: Path | None = None
    """PEM of the endpoint's certificate and those that signed it; unset, it speaks plain HTTP."""
    tls_keyfile: Path | None = None
    """PEM of the certificate's key; may be in the same file."""
    batch: int = Field(64, ge=1, le=4_096)
    """Events predicted together at most."""
    wait_ms: float = Field(0.0, ge=0, le=1_000)
    """Milliseconds that a request waits for company while nothing is being answered; those that
    come while something is are answered together anyway."""
    queue: int = Field(1_024, ge=1)
    """Events waiting at most; above it requests get 429."""
    in_flight: int = Field(256, ge=1)
    """Requests to `/v1` and `/v2` under way at most; above it they get 429 before they are read."""
    deadline_ms: int = Field(2_000, ge=1)
    """Milliseconds until a waiting request gets 429."""
    body_bytes: int = Field(8_000_000, ge=1_000)
    """Bytes of a request body."""
    head_s: float = Field(10.0, gt=0, le=3_600)
    """Seconds in which the head of a request must have come; then the connection is closed."""
    body_s: float = Field(10.0, gt=0, le=3_600)
    """Seconds in which a request's body must have come; then it gets 408."""
    request_events: int = Field(1_000, ge=1)
    """Events in one request."""
    process: bool = False
    """Whether the endpoint runs in a process of its own, beside the pipeline's, so that learning
    does not keep requests waiting."""
    nice: int = Field(5, ge=0, le=19)
    """By how much a process of its own yields to the pipeline where there are too few cores."""
    page: bool = True
    """Whether a browser that opens `/` gets the live page."""
    view_s: float = Field(0.25, gt=0, le=60)
    """Seconds between views of the model at most often."""


class Run(Section):
    """The loop."""

    batch: int = Field(256, ge=1, le=10_000)
    """Records in a micro-batch at most."""
    step_ms: int = Field(100, ge=1, le=10_000)
    """Milliseconds that a micro-batch should take; its size follows, up to `batch`."""
    linger_ms: int = Field(20, ge=0, le=1_000)
    """Milliseconds to wait for records."""
    in_flight: int = Field(8, ge=1, le=1_000)
    """Micro-batches predicted but not yet published; above it the reader waits."""
