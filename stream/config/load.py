"""Where the settings come from, and what is said of those that cannot work."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator

from stream.config.cluster import Kafka, Topics
from stream.config.encoding import Encoder
from stream.config.learning import Index, Learn
from stream.config.section import Section
from stream.config.service import Checkpoint, DeadLetters, Limits, Run, Serve
from stream.config.telling import Log, Traces
from stream.errors import SettingError

PREFIX = "BRAID_"
OWN = frozenset({"BRAID_TEST_DATA", "BRAID_KAFKA_JARS", "BRAID_TOKEN"})  # of others than settings
SHORT = {"BOOTSTRAP_SERVERS": "KAFKA__BOOTSTRAP_SERVERS"}


class Settings(Section):
    """Everything, by section."""

    kafka: Kafka = Kafka()
    topics: Topics = Topics()
    limits: Limits = Limits()
    dead_letters: DeadLetters = DeadLetters()
    learn: Learn = Learn()
    index: Index = Index()
    encoder: Encoder = Encoder()
    checkpoint: Checkpoint = Checkpoint()
    serve: Serve = Serve()
    run: Run = Run()
    log: Log = Log()
    traces: Traces = Traces()

    @model_validator(mode="after")
    def _fits(self) -> Settings:
        # a micro-batch asks for what it predicts, what it learns, and descriptions
        if self.encoder.plugin and 3 * self.encoder.timeout_ms > self.kafka.poll_interval_ms:
            raise ValueError("encoder.timeout_ms must be at most a third of kafka.poll_interval_ms")
        return self


def names() -> list[str]:
    """Every setting as `section.name`."""
    return [
        f"{section}.{name}"
        for section, info in Settings.model_fields.items()
        for name in info.annotation.model_fields  # type: ignore[union-attr]  # all are sections
    ]


def load(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
) -> Settings:
    """Read the settings.

    Parameters
    ----------
    file
        A TOML file with a table per section.
    environ
        The environment; the process's own by default.
    overrides
        `section.name=value` strings; they win.

    Raises
    ------
    SettingError
        Naming the setting, its value, and what to write instead.
    """
    values: dict[str, dict[str, Any]] = {}
    if file is not None:
        for section, table in _toml(file).items():
            if not isinstance(table, dict):
                raise SettingError(section, table, f"write it in a table, such as [{section}]")
            for name, value in table.items():
                _put(values, f"{section}.{name}", value)
    for key, text in (os.environ if environ is None else environ).items():
        if key.startswith(PREFIX) and key not in OWN:
            bare = key.removeprefix(PREFIX)
            _put(values, SHORT.get(bare, bare).replace("__", ".").lower(), text, shown=key)
    for item in overrides:
        name, sign, text = item.partition("=")
        if not sign:
            raise SettingError("--set", _shown(item, item), "write section.name=value")
        _put(values, name.strip(), text.strip())
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise _first(error) from None


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise SettingError("--config", str(file), f"name a readable file ({error})") from None
    except ValueError as error:  # bad TOML, or no UTF-8
        raise SettingError("--config", str(file), f"write valid TOML ({error})") from None


def _put(values: dict[str, dict[str, Any]], name: str, value: Any, shown: str = "") -> None:
    known = names()
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"no such setting; did you mean {near[0]}?" if near else "no such setting"
        raise SettingError(shown or name, _shown(shown or name, value), hint)
    section, _, field = name.partition(".")
    values.setdefault(section, {})[field] = value


def _shown(name: str, value: Any) -> Any:
    """The value for a message; never one that may be a secret, misspelt names included."""
    return "***" if re.search("pas+w|secret|sasl_p", name.lower()) else value


def _first(error: ValidationError) -> SettingError:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "settings"
    value = first["input"]
    if isinstance(value, dict):  # a check across fields: name the section, not its secrets
        value = "..."
    return SettingError(where, _shown(where, value), first["msg"].removeprefix("Value error, "))
