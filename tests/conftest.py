"""What all tests share: the Kafka fixtures, and where the evaluation folders are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest_plugins = ["tests.kafka_fixtures", "tests.encoder_harness"]

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    """The evaluation folders beside the checkout, or where BRAID_TEST_DATA says."""
    folder = Path(os.environ.get("BRAID_TEST_DATA", _SHARED))
    if not folder.is_dir():
        pytest.skip("the evaluation folders are not here (they are not part of the project)")
    return folder
