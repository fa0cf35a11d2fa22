"""What an operator may do to topic and group: move offsets, make a topic anew."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable

import orjson
import pytest
from kafka import KafkaAdminClient, OffsetAndMetadata
from kafka import TopicPartition as KafkaPartition
from kafka.errors import NoError

from stream.source.kafka import create_topics
from tests.faults.account import committed
from tests.faults.agree import models
from tests.faults.test_cluster import SIZES
from tests.faults.tour import until
from tests.faults.world import NODES, World

pytestmark = [pytest.mark.kafka, pytest.mark.faults, pytest.mark.timeout(900)]

BACK = 60
NAME = "member-0"


def test_offsets_moved_back_are_predicted_again_and_not_learnt_again(
    made: Callable[..., World],
) -> None:
    world = made(1)
    world.join(NAME)
    world.works()
    world.leave(NAME)
    group, part = world.kafka.group, KafkaPartition(world.topics.events, 0)
    with KafkaAdminClient(bootstrap_servers=world.cluster.bootstrap.split(",")) as admin:
        before = admin.list_group_offsets([group])[group][part].offset
    move(world, before - BACK)
    world.join(NAME)
    world.works()
    found = world.quiet()
    assert found.lost == 0
    read = committed(world.cluster.bootstrap, world.topics.predictions)
    told = Counter(at(value) for *_, value in read)
    again = {offset for offset, times in told.items() if times > 1}
    assert max(told.values()) == 2
    assert min(again) >= before - BACK
    assert max(again) < before
    late = [at(value) for *_, value in read if orjson.loads(value)["late"]]
    assert again <= set(late)
    (model,) = models(world.folder / "snapshots", SIZES).values()
    assert model.model.position == found.events


def test_a_topic_made_anew_is_refused_until_told_to_begin_again(
    made: Callable[..., World],
) -> None:
    world = made(1)
    world.join(NAME)
    world.works()
    kept = world.folder / "snapshots" / NAME
    until(lambda: any(kept.glob("snapshot-*")), lambda: None)
    events = world.topics.events
    with KafkaAdminClient(bootstrap_servers=world.cluster.bootstrap.split(",")) as admin:
        admin.delete_topics([events])
        until(lambda: events not in admin.list_topics(), lambda: None)
    create_topics(world.kafka, world.topics, partitions=1, replication=NODES)
    anew = f"topic {events} was deleted and made anew"
    until(lambda: f"{anew} since the snapshot" in world.said(NAME), lambda: None)  # started again
    assert set(world.members[NAME].ends) == {1}
    world.members.pop(NAME).stop()
    shutil.rmtree(kept)
    move(world, 0)
    world.join(NAME)
    world.works()
    assert world.quiet().lost == 0


def move(world: World, offset: int) -> None:
    """Set what the group has committed; it has a member until the session has ended."""
    part = KafkaPartition(world.topics.events, 0)
    moved = {part: OffsetAndMetadata(offset, "", -1)}
    with KafkaAdminClient(bootstrap_servers=world.cluster.bootstrap.split(",")) as admin:
        until(
            lambda: admin.alter_group_offsets(world.kafka.group, moved)[part] is NoError,
            lambda: None,
        )


def at(prediction: bytes) -> int:
    """The offset of its event."""
    return int(orjson.loads(prediction)["source"]["offset"])
