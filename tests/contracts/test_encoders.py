"""The contract of `TextEncoder`, run on a toy one and on the one that is included."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from stream import encoders
from stream.encoders import TextEncoder

KINDS = ("toy", "sentence-transformers")
TEXTS = [
    "late gothic altarpieces of the upper Rhine",
    "gradient descent for neural networks",
    "a",
    "Ünïcödé, 文本, \U0001f30a and \x00 control \ufffe characters",
    "words " * 3_000,
    "title\nbody\n\nand more",
]


@pytest.fixture(params=KINDS)
def encoder(request: pytest.FixtureRequest) -> TextEncoder:
    if request.param == "toy":
        request.getfixturevalue("toy_folder")
        return encoders.load("toy", "")
    return encoders.load(request.param, request.getfixturevalue("minilm"))


def directions(encoder: TextEncoder, texts: list[str]) -> np.ndarray:
    found = encoder.embed(texts)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_shape_and_type(encoder: TextEncoder) -> None:
    assert isinstance(encoder, TextEncoder)
    assert isinstance(encoder.dimension, int)
    for n in (1, 2, 5):
        found = encoder.embed(TEXTS[:n])
        assert found.shape == (n, encoder.dimension)
        assert found.dtype == np.float32


def test_any_text_has_a_finite_direction(encoder: TextEncoder) -> None:
    found = encoder.embed([*TEXTS, "", " \n\t"])
    assert np.isfinite(found).all()
    assert (np.linalg.norm(found, axis=1) > 0).all()


def test_a_text_has_one_vector_whatever_is_asked_with_it(encoder: TextEncoder) -> None:
    together = directions(encoder, TEXTS)
    again = directions(encoder, TEXTS)
    alone = np.concatenate([directions(encoder, [text]) for text in TEXTS])
    turned = directions(encoder, TEXTS[::-1])[::-1]
    for other in (again, alone, turned):
        np.testing.assert_allclose((together * other).sum(1), 1, atol=1e-4)


def test_texts_differ(encoder: TextEncoder) -> None:
    found = directions(encoder, TEXTS[:3])
    assert (found @ found.T)[np.triu_indices(3, 1)].max() < 0.9


def test_another_thread_than_the_one_that_made_it(encoder: TextEncoder) -> None:
    got: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: got.append(directions(encoder, TEXTS[:2])))
    thread.start()
    thread.join()
    np.testing.assert_allclose(got[0], directions(encoder, TEXTS[:2]), atol=1e-4)
