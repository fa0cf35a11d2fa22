"""What can happen to brokers, network and members; each fault ends what it began."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from tests.faults.tour import until
from tests.faults.world import NODES, World

ONE, OTHER = "member-0", "member-1"
_SMALL_DISK = NODES - 1
_QUOTA = "producer_byte_rate=20000,consumer_byte_rate=20000"


def leader_killed(world: World) -> None:
    node = world.leader()
    world.cluster.kill(node)
    time.sleep(3)
    world.cluster.restart(node)


def quorum_lost(world: World) -> None:
    """Two of three nodes: nothing can be committed until they are back."""
    for node in (0, 1):
        world.cluster.kill(node)
    time.sleep(6)
    for node in (0, 1):
        world.cluster.restart(node)


def leader_frozen(world: World) -> None:
    node = world.leader()
    world.cluster.pause(node)
    time.sleep(8)
    world.cluster.resume(node)


def leader_silent(world: World) -> None:
    """The network between the members and one node is partitioned; the brokers' own is not."""
    node = world.leader()
    world.gateway.silence(node)
    time.sleep(6)
    world.gateway.mend(node)


def leader_cut(world: World) -> None:
    node = world.leader()
    world.gateway.cut(node)
    time.sleep(3)
    world.gateway.mend(node)


def brokers_slow(world: World) -> None:
    """Every piece of every answer takes 300 ms longer."""
    for node in range(NODES):
        world.gateway.slow(node, 0.3)
    time.sleep(8)
    for node in range(NODES):
        world.gateway.mend(node)


def disk_full(world: World) -> None:
    """A broker's disk; such a broker ends itself, and is started again when there is room."""
    if world.disk is None:
        return
    filler = world.disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 65_536)
    time.sleep(5)
    filler.unlink()
    if not world.cluster.alive(_SMALL_DISK):
        world.cluster.kill(_SMALL_DISK)
        world.cluster.restart(_SMALL_DISK)


def throttled(world: World) -> None:
    """A quota far below what flows; the brokers delay their answers."""
    where = ("--alter", "--entity-type", "clients", "--entity-default")
    world.cluster.tool("kafka.admin.ConfigCommand", *where, "--add-config", _QUOTA)
    time.sleep(8)
    names = ",".join(part.partition("=")[0] for part in _QUOTA.split(","))
    world.cluster.tool("kafka.admin.ConfigCommand", *where, "--delete-config", names)


def dead_letters_refused(world: World) -> None:
    with refusing_dead_letters(world):
        time.sleep(5)


@contextmanager
def refusing_dead_letters(world: World) -> Iterator[None]:
    """Their topic takes nothing: no transaction with a dead letter can be committed."""
    _replicas_needed(world, NODES)
    node = next(n for n in range(NODES) if n != world.leader())
    world.cluster.kill(node)  # now it lacks one
    yield
    _replicas_needed(world, 2)
    world.cluster.restart(node)


def _replicas_needed(world: World, n: int) -> None:
    resource = ConfigResource(
        ConfigResourceType.TOPIC, world.topics.dead_letters, {"min.insync.replicas": str(n)}
    )
    with KafkaAdminClient(bootstrap_servers=world.cluster.bootstrap.split(",")) as admin:
        admin.alter_configs([resource])


def partitions_added(world: World) -> None:
    world.grow()


def member_killed(world: World) -> None:
    world.members[OTHER].signal(signal.SIGKILL)


def member_frozen(world: World) -> None:
    """For longer than transaction and session last: it wakes as a zombie."""
    until(world.members[OTHER].working, lambda: None)
    world.members[OTHER].signal(signal.SIGSTOP)
    time.sleep(9)
    world.members[OTHER].signal(signal.SIGCONT)


def member_joins(world: World) -> None:
    """One more than there were; it starts from what the others have learnt."""
    name = f"member-{len(world.members)}"
    world.join(name)
    until(lambda: "going on from a snapshot" in world.said(name), lambda: None)


def member_leaves(world: World) -> None:
    """In order; its lease is given away when its session has ended, and it comes back."""
    world.leave(OTHER)
    world.works()
    world.join(OTHER)


def both_killed(world: World) -> None:
    for name in (ONE, OTHER):
        world.members[name].signal(signal.SIGKILL)


def network_flaps(world: World) -> None:
    """Every connection to every node, again and again."""
    for _ in range(5):
        for node in range(NODES):
            world.gateway.cut(node)
            world.gateway.mend(node)
        time.sleep(1)


Fault = Callable[[World], None]
BROKEN: dict[str, Fault] = {
    "broker: leader killed": leader_killed,
    "broker: leader frozen for 8 s": leader_frozen,
    "broker: disk full": disk_full,
    "brokers: quorum lost for 6 s": quorum_lost,
    "brokers: clients throttled by a quota": throttled,
    "brokers: 300 ms slower": brokers_slow,
    "network: leader silent for 6 s": leader_silent,
    "network: leader refuses for 3 s": leader_cut,
    "network: all connections reset five times": network_flaps,
    "topic: dead letters refused for 5 s": dead_letters_refused,
    "topic: a partition more": partitions_added,
}
MEMBERS: dict[str, Fault] = {
    "member: killed": member_killed,
    "member: frozen for 9 s, its transaction expired": member_frozen,
    "member: leaves and comes back": member_leaves,
    "members: two killed at once": both_killed,
}
JOINS: dict[str, Fault] = {"member: a third joins": member_joins}


def may_mount() -> bool:
    """Whether this user may mount a file system, for a disk that can be filled."""
    command = ["unshare", "-m", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
