"""A forked child works on memory that stays as it was; what goes wrong in it comes back."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from indexes.flat import Flat
from indexes.gate import Mutex
from stream.errors import SnapshotError
from stream.forked import Child

Alive = Callable[[], None]


def test_child_sees_the_moment_of_the_fork(tmp_path: Path) -> None:
    state = np.zeros(1_000_000)
    go = tmp_path / "go"

    def work(alive: Alive) -> None:
        while not go.exists():
            time.sleep(0.01)
        alive()
        (tmp_path / "sum").write_text(str(state.sum()))

    child = Child(work)
    state[:] = 1
    go.touch()
    child.wait()
    assert (tmp_path / "sum").read_text() == "0.0"


def test_an_error_comes_back_with_its_remedy() -> None:
    def work(alive: Alive) -> None:
        alive()
        raise SnapshotError("full", remedy="free space")

    with pytest.raises(SnapshotError, match=r"^full$") as told:
        Child(work).wait()
    assert told.value.remedy == "free space"


def test_a_bug_comes_back_by_name() -> None:
    def work(alive: Alive) -> None:
        raise KeyError("x")

    with pytest.raises(SnapshotError, match="KeyError: 'x'") as told:
        Child(work).wait()
    assert "bug" in told.value.remedy


def test_a_child_that_is_killed_is_told_and_reaped(tmp_path: Path) -> None:
    ready = tmp_path / "ready"

    def work(alive: Alive) -> None:
        ready.touch()
        time.sleep(60)

    child = Child(work)
    while not ready.exists():
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGTERM)  # the parent's to obey
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(SnapshotError, match="ended with -9"):
        child.wait()
    with pytest.raises(ChildProcessError):
        os.waitpid(child.pid, os.WNOHANG)


def test_a_silent_child_is_ended() -> None:
    child = Child(lambda alive: time.sleep(60))
    with pytest.raises(SnapshotError, match="said nothing"):
        child.wait(silent_s=0.1)


def test_nothing_registered_for_the_end_runs_in_the_child(tmp_path: Path) -> None:
    """A Kafka client that is closed there would take the parent's connection with it."""

    class Client:
        def __del__(self) -> None:
            if os.getpid() != parent:
                (tmp_path / "closed").touch()

    parent = os.getpid()
    client: list[Client] | None = [Client()]
    client.append(client)  # type: ignore[arg-type]  # only the collector finds it
    client = None
    Child(lambda alive: [[] for _ in range(100_000)]).wait()
    assert not (tmp_path / "closed").exists()


def test_a_port_of_the_parent_is_not_held_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        child = Child(lambda alive: time.sleep(60))
    try:
        end = time.monotonic() + 30
        listens = True
        while listens:
            assert time.monotonic() < end, "the child still listens"
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                listens = False
            except ConnectionResetError:  # it closed the port while we came
                pass
    finally:
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(SnapshotError):
            child.wait()


def test_locks_held_by_other_threads_are_free_in_the_child() -> None:
    index, mutex = Flat(2), Mutex()
    index.upsert(np.array([1]), np.ones((1, 2), np.float32))
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with index._gate.alone(), mutex:
            inside.set()
            leave.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    inside.wait(60)

    def work(alive: Alive) -> None:
        with mutex:
            assert len(index.snapshot()["ids"]) == 1

    try:
        Child(work).wait(silent_s=30)
    finally:
        leave.set()
        holder.join()
