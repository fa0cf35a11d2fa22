"""Fixtures for tests on a real Kafka: BRAID_BOOTSTRAP_SERVERS, else one from its own jars."""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from stream.config import Kafka, Topics

with warnings.catch_warnings():
    # Its import reads its schemas in a way that Python 3.11 calls deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    import kafka as _kafka  # noqa: F401

_LAUNCHER = Path(__file__).resolve().parent.parent / "deploy" / "kafka" / "launcher.py"


def pytest_sessionfinish() -> None:
    """Collect now: what is left to pytest's own last collection is judged without our filter."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed <socket", ResourceWarning)
        gc.collect()


def load_launcher() -> ModuleType:
    """The launcher, which is a program and in no package."""
    name = "braid_kafka_launcher"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _LAUNCHER)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def launcher() -> ModuleType:
    """The launcher, where this machine can start a broker; else skips (fails under CI=true)."""
    module = load_launcher()
    if (lacks := module.missing()) is not None:
        absent(f"no Kafka here: {lacks}, or set BRAID_BOOTSTRAP_SERVERS")
    return module


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[str]:
    """Bootstrap address of a broker."""
    if given := os.environ.get("BRAID_BOOTSTRAP_SERVERS"):
        yield given
        return
    with request.getfixturevalue("launcher").Cluster() as cluster:
        yield cluster.bootstrap


@pytest.fixture
def topics() -> Topics:
    """Names that no other test uses."""
    tag = uuid.uuid4().hex[:10]
    names = {name: f"test-{tag}-{name}" for name in Topics.model_fields}
    return Topics(**names)


@pytest.fixture
def member(kafka: str, topics: Topics) -> Callable[..., Kafka]:
    """Makes settings for a member, by name, of a group that no other test uses."""
    # Brokers that are not ours refuse sessions of less than six seconds by default.
    session_ms = 6_000 if os.environ.get("BRAID_BOOTSTRAP_SERVERS") else 1_000

    def make(name: str = "a", **own: object) -> Kafka:
        values: dict[str, object] = {
            "bootstrap_servers": kafka,
            "group": topics.events,
            "member": name,
            "session_timeout_ms": session_ms,
            "poll_interval_ms": 20_000,
            "metadata_max_age_ms": 200,
        }
        return Kafka.model_validate(values | own)

    return make


def absent(reason: str) -> None:
    """Skip on a person's machine; fail where CI=true, so that nothing goes untested there."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
