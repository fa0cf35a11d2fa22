"""Joining pages leaves what they hold as it is."""

from __future__ import annotations

import numpy as np

from stream import hugepages
from stream.forked import Child


def test_values_stay_and_small_or_strided_arrays_are_passed_over() -> None:
    large = np.arange(4_000_000, dtype=np.int64)
    Child(lambda alive: large.sum()).wait()
    large[::1_000] += 1
    expected = large.copy()
    done = hugepages.join([large, large[:10], large[::2], np.zeros((0, 3))])
    assert 0 <= done <= large.nbytes
    assert (large == expected).all()
