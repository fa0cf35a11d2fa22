"""What carries an event to the index of label prototypes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stream.config.section import Section


class Encoder(Section):
    """The embedding of an extreme label space; one of 512 labels or fewer has none."""

    plugin: str = ""
    """Name of an encoder of texts that is plugged in by entry point, such as
    `sentence-transformers`; unset, the built-in embedding is used. While it is in use, none is
    trained."""
    model: str = ""
    """What the plugin is to load, in its own words: a folder, or a model's name."""
    characters: int = Field(2_000, ge=16, le=1_000_000)
    """Characters of a text that the plugin is given, from its beginning."""
    timeout_ms: int = Field(5_000, ge=1, le=60_000)
    """Milliseconds that a micro-batch waits for the plugin at most; events without a vector by
    then go on without the index."""
    failures: int = Field(5, ge=1, le=1_000)
    """Failures of the plugin in a row from which it is cut off until the next start, and the
    built-in embedding takes over."""
    train: bool = False
    """Whether an embedding is learnt from the stream, beside it, and takes over where it finds
    more; needs the extra `encoder`. Off where `index.background` is, which asks for a state that
    depends on the events alone."""
    cpu_share: float = Field(0.25, gt=0, le=1)
    """Share of the machine's processors that training takes at most."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it is trained; `auto` is a GPU where there is one."""
    memory: int = Field(1 << 16, ge=256, le=1 << 24)
    """Labelled events kept for training, about 1.1 kB each."""
    labels: int = Field(1 << 19, ge=1, le=10_000_000)
    """Labels up to which an embedding is learnt, each of which takes about 6 kB beside the stream;
    with more, training ends, and what is learnt by then stays in use."""
    window: int = Field(2_048, ge=256)
    """Labelled events of a trial of a learnt embedding against the one in use."""
