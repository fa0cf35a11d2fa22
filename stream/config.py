"""All settings, frozen, each with its unit.

Values come, last wins, from: the defaults here, a TOML file (`--config`), the environment
(`BRAID_SECTION__NAME`, such as `BRAID_KAFKA__GROUP`), and `--set section.name=value`.
`BRAID_BOOTSTRAP_SERVERS` is short for `BRAID_KAFKA__BOOTSTRAP_SERVERS`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from stream.errors import SettingError

PREFIX = "BRAID_"
OWN = frozenset({"BRAID_TEST_DATA", "BRAID_KAFKA_JARS"})  # of the tests and the broker launcher
SHORT = {"BOOTSTRAP_SERVERS": "KAFKA__BOOTSTRAP_SERVERS"}

Objective = Literal["micro_f1", "macro_f1", "hamming", "subset"]
# what `learn.without` can leave out; experts of small spaces by their place in the mixture
EXPERTS = (
    "logistic_values", "logistic_idf", "logistic_bins", "logistic_history", "vote_10", "vote_50",
    "vote_bins", "recent_sets", "prior", "markov", "squares", "squares_smooth",
    "squares_history", "squares_values", "tree",
)  # fmt: skip
# parts of the learner of extreme spaces
EXTREME_PARTS = (
    "titles", "names", "name_parts", "linear", "centroids", "recency", "partition_bias",
    "index", "descriptions",
)  # fmt: skip
PARTS = (*EXPERTS, "sets", "partition_weights", "reaction", *EXTREME_PARTS)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Kafka(_Section):
    """The cluster, and this member's place in the group."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """host:port, comma separated."""
    group: str = Field("braid", min_length=1, max_length=200)
    """Consumer group that shares the predicting; also the head of transactional ids."""
    member: str = Field("member-0", min_length=1, max_length=100)
    """This member's stable name; two live members must not share one."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to talk to the brokers."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """SASL mechanism; required with a SASL protocol."""
    sasl_username: str | None = None
    """SASL user."""
    sasl_password: SecretStr | None = None
    """SASL password; never printed."""
    ssl_cafile: Path | None = None
    """PEM of the authority that signed the brokers' certificates."""
    ssl_certfile: Path | None = None
    """PEM of this client's certificate."""
    ssl_keyfile: Path | None = None
    """PEM of this client's key."""
    ssl_check_hostname: bool = True
    """Whether the broker's name must fit its certificate."""
    session_timeout_ms: int = Field(10_000, ge=1_000)
    """Milliseconds without a heartbeat until the group gives our partitions away."""
    poll_interval_ms: int = Field(30_000, ge=3_000)
    """Milliseconds in which a micro-batch must be done; the budget of all other timeouts."""
    transaction_timeout_ms: int = Field(10_000, ge=1_000)
    """Milliseconds until the broker aborts a transaction left open."""
    metadata_max_age_ms: int = Field(5_000, ge=100)
    """Milliseconds between looks for new partitions."""
    accept_gap: bool = False
    """Whether to go on, with a warning, where retention has removed records that were not read yet;
    off, the start is refused and names them."""

    @model_validator(mode="after")
    def _fits(self) -> Kafka:
        if self.security_protocol.startswith("SASL") and (
            self.sasl_mechanism is None or self.sasl_username is None or self.sasl_password is None
        ):
            raise ValueError(
                "security_protocol with SASL needs sasl_mechanism, sasl_username and sasl_password"
            )
        if self.transaction_timeout_ms > self.poll_interval_ms // 2:
            raise ValueError("transaction_timeout_ms must be at most half of poll_interval_ms")
        if self.session_timeout_ms > self.poll_interval_ms:
            raise ValueError("session_timeout_ms must be at most poll_interval_ms")
        return self


class Topics(_Section):
    """Names of the topics."""

    events: str = "braid.events"
    """In: events and feedback, keyed by event id."""
    labels: str = "braid.labels"
    """In, compacted: label descriptions, keyed by label."""
    predictions: str = "braid.predictions"
    """Out: one prediction for each event."""
    drift: str = "braid.drift"
    """Out: alarms, splits, merges, new labels."""
    dead_letters: str = "braid.dead-letters"
    """Out: records that could not be used, byte for byte."""

    @model_validator(mode="after")
    def _differ(self) -> Topics:
        chosen = [getattr(self, name) for name in type(self).model_fields]
        if len(set(chosen)) < len(chosen):
            raise ValueError("give each topic a name of its own, else outputs are read as inputs")
        for name in chosen:
            if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name) or name in {".", ".."}:
                raise ValueError(f"{name!r}: use 1 to 249 letters, digits, dots, '_' or '-'")
        return self


class Limits(_Section):
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


class Learn(_Section):
    """The learner. One configuration serves all streams."""

    objective: Objective = "micro_f1"
    """What the chosen label set is tuned for."""
    top_k: int = Field(10, ge=1, le=100)
    """Labels published with each prediction."""
    seed: int = 7
    """Seed of every random choice."""
    small_labels: int = Field(512, ge=2, le=512)
    """Up to so many labels every label is a candidate; above, a shortlist."""
    exemplar_bytes: int = Field(150_000_000, ge=1, le=1 << 36)
    """Bytes of the labelled events kept as exemplars in an extreme space, and of what finds them.

    As many are kept as the largest power of two that fits; the oldest give way to new ones.
    """
    hash_bits: int = Field(22, ge=10, le=26)
    """log2 of the feature slots in an extreme space, 16 bytes each."""
    linear_bytes: int = Field(1 << 26, ge=1, le=1 << 32)
    """Bytes of the hashed weights and centroids in an extreme space; a power of two is used."""
    cooccurrence_bytes: int = Field(1_200_000_000, ge=1, le=1 << 40)
    """Bytes of what is remembered of the company of labels, at about 260 each.

    As many labels have company as the largest power of two that fits; the least frequent give way.
    """
    waiting: int = Field(10_000, ge=0)
    """Unlabelled events kept for late labels, and late labels kept for their event."""
    waiting_bytes: int = Field(64_000_000, ge=0)
    """Bytes of events kept for late labels, and as many of label sets."""
    without: str = ""
    """Parts left out, comma separated, for ablations; an unknown one names them all."""
    suspicious_share: float = Field(0.001, ge=0, le=0.1)
    """Share of events of which a suspicious label is told at most; 0 tells none."""
    drift_delta: float = Field(0.002, gt=0, lt=1)
    """ADWIN's confidence; smaller alarms later and less."""

    @field_validator("without")
    @classmethod
    def _known(cls, value: str) -> str:
        for part in filter(None, value.split(",")):
            if part not in PARTS:
                raise ValueError(f"{part!r} is no part; leave out any of {', '.join(PARTS)}")
        return value

    @property
    def off(self) -> frozenset[str]:
        """The parts left out."""
        return frozenset(filter(None, self.without.split(",")))


class Index(_Section):
    """The index of label prototypes."""

    kind: Literal["auto", "flat", "faiss_cpu", "faiss_gpu"] = "auto"
    """Which index; `auto` picks by size and device."""
    dimension: int = Field(256, ge=8, le=4096)
    """Width of the embedding, in floats."""
    prototype_bytes: int = Field(1 << 33, ge=1, le=1 << 40)
    """Bytes of the prototypes; labels beyond that replace the least useful, also in the index."""
    neighbours: int = Field(10, ge=0, le=100)
    """Nearest prototypes added to each shortlist."""
    worth: float = Field(0.005, ge=0, le=1)
    """Share of true labels that only the index finds from which it is asked for every event; below
    it, for one event in 16, and below a quarter of it for one in 1,024. 0 always asks."""
    flat_limit: int = Field(8_192, ge=64)
    """Labels up to which `auto` searches exactly."""
    sync_events: int = Field(256, ge=1)
    """Learnt events between updates of the index from the prototypes."""
    background: bool = True
    """Whether a large index is built beside the learner. Off, it is built by the learner, which
    stalls, and events are learnt one by one: the same labelled events then leave the same state to
    the bit, however the stream was cut into batches and interrupted."""


class Checkpoint(_Section):
    """Snapshots."""

    folder: Path | None = None
    """Where snapshots go; none are written when unset."""
    interval_s: float = Field(60.0, gt=0)
    """Seconds between snapshots."""
    keep: int = Field(2, ge=1, le=100)
    """Snapshots kept."""


class Serve(_Section):
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
    deadline_ms: int = Field(2_000, ge=1)
    """Milliseconds until a waiting request gets 429."""
    body_bytes: int = Field(8_000_000, ge=1_000)
    """Bytes of a request body."""
    body_s: float = Field(10.0, gt=0, le=3_600)
    """Seconds in which a request's body must have come; then it gets 408."""
    request_events: int = Field(1_000, ge=1)
    """Events in one request."""
    process: bool = False
    """Whether the endpoint runs in a process of its own, beside the pipeline's, so that learning
    does not keep requests waiting."""
    view_s: float = Field(0.25, gt=0, le=60)
    """Seconds between views of the model at most often."""


class Run(_Section):
    """The loop."""

    batch: int = Field(256, ge=1, le=10_000)
    """Records in a micro-batch at most."""
    step_ms: int = Field(100, ge=1, le=10_000)
    """Milliseconds that a micro-batch should take; its size follows, up to `batch`."""
    linger_ms: int = Field(20, ge=0, le=1_000)
    """Milliseconds to wait for records."""
    in_flight: int = Field(8, ge=1, le=1_000)
    """Micro-batches predicted but not yet published; above it the reader waits."""


class Settings(_Section):
    """Everything, by section."""

    kafka: Kafka = Kafka()
    topics: Topics = Topics()
    limits: Limits = Limits()
    learn: Learn = Learn()
    index: Index = Index()
    checkpoint: Checkpoint = Checkpoint()
    serve: Serve = Serve()
    run: Run = Run()


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
    where = ".".join(str(part) for part in first["loc"])
    value = first["input"]
    if isinstance(value, dict):  # a check across fields: name the section, not its secrets
        value = "..."
    return SettingError(where, _shown(where, value), first["msg"].removeprefix("Value error, "))
