"""Retries without their pauses."""

from __future__ import annotations

import pytest

from stream import commits


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "_PAUSE_S", 1e-4)
