"""The GPU benchmark where there is no GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexes.extras import device_present
from tests.bench.bench_gpu import main


def test_without_a_device_it_says_so_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if device_present():
        pytest.skip("a CUDA device is here")
    main(["--out", str(tmp_path / "results")])
    said = capsys.readouterr().out
    assert said.startswith("There is no GPU index to measure here")
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())
