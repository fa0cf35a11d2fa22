"""The label hierarchy: joins that are older than the partitions, and many links."""

from __future__ import annotations

import numpy as np

from stream.learn.partitions.links import Links, strongest
from stream.serve.hierarchy import Hierarchy
from stream.serve.view import PartitionInfo


def linked(pairs: list[list[int]], weights: list[float], leaves: int) -> Links:
    return Links(np.array(pairs, np.int32), np.array(weights), np.full(leaves, 6.0))


def partitions(*sizes: int) -> list[PartitionInfo]:
    """Partition n has the n-th size; 0 for one that is gone."""
    made = enumerate(sizes)
    return [PartitionInfo(n, size, 1.0, (f"l{n}",)) for n, size in made if size]


def shape(hierarchy: Hierarchy, *sizes: int) -> dict[int, int | None]:
    found = hierarchy.nodes(partitions(*sizes), 100)
    assert sum(one.size for one in found if one.partition) == sum(sizes)
    ids = [one.id for one in found]
    assert all(one.parent is None or one.parent in ids[:at] for at, one in enumerate(found))
    return {one.id: one.parent for one in found}


def test_a_partition_that_came_later_is_a_root_beside_the_joins() -> None:
    hierarchy = Hierarchy()
    hierarchy.renew(linked([[0, 1]], [5.0], 2))
    assert shape(hierarchy, 10, 9) == {-1: None, 0: -1, 1: -1}
    assert shape(hierarchy, 10, 9, 4) == {-1: None, 0: -1, 1: -1, 2: None}


def test_a_partition_that_is_gone_leaves_its_place_to_its_neighbour() -> None:
    hierarchy = Hierarchy()
    hierarchy.renew(linked([[0, 1], [1, 2]], [5.0, 1.0], 3))
    assert shape(hierarchy, 5, 5, 5) == {-2: None, -1: -2, 0: -1, 1: -1, 2: -2}
    assert shape(hierarchy, 0, 5, 5) == {-2: None, 1: -2, 2: -2}
    assert shape(hierarchy, 0, 0, 5) == {2: None}


def test_the_largest_come_first_and_as_many_as_are_asked_for() -> None:
    hierarchy = Hierarchy()
    assert [one.id for one in hierarchy.nodes(partitions(1, 3, 2), 2)] == [1, 2]


def test_of_too_many_links_the_strongest_for_their_size_count() -> None:
    found = linked([[0, 1], [1, 2], [0, 2]], [1.0, 3.0, 2.0], 3)
    assert strongest(found, 2).pair.tolist() == [[1, 2], [0, 2]]
    assert strongest(found, 3) is found
