"""The batcher alone: what meets, who waits, who is refused, and that nothing leaks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import pytest

from stream.errors import NotReady, Overloaded
from stream.serve.batcher import Batcher


class Worker:
    """Doubles numbers; while `gate` is shut it waits, and it keeps what it was given."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()

    def __call__(self, items: list[int]) -> Sequence[int | Exception]:
        self.batches.append(items)
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(60)
        return [ValueError(item) if item < 0 else 2 * item for item in items]


Test = Callable[[Batcher[int, int], Worker], Awaitable[None]]


def run(test: Test, **settings: Any) -> list[int]:
    """Run a test on a batcher of its own; return how many waited, at each change."""
    levels: list[int] = []
    defaults = {"batch": 4, "wait_s": 0.001, "queue": 100, "deadline_s": 60.0}

    async def main() -> None:
        worker = Worker()
        batcher: Batcher[int, int] = Batcher(
            worker, **(defaults | settings), on_waiting=levels.append, name="worker"
        )
        try:
            await test(batcher, worker)
        finally:
            worker.gate.set()
            await batcher.close()
        assert batcher.waiting == 0

    asyncio.run(main())
    assert not [one for one in threading.enumerate() if one.name.startswith("worker")]
    return levels


async def queued(
    batcher: Batcher[int, int], *asks: Coroutine[Any, Any, int]
) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(ask) for ask in asks]
    await asyncio.sleep(0)  # each runs up to its wait
    return tasks


async def busy(batcher: Batcher[int, int], worker: Worker) -> asyncio.Task[int]:
    """Shut the gate with item 0 behind it."""
    worker.gate.clear()
    (held,) = await queued(batcher, batcher.submit(0, 1))
    while not worker.batches:
        await asyncio.sleep(0.001)
    return held


def test_each_gets_its_own_answer_from_one_worker_thread() -> None:
    async def test(batcher: Batcher[int, int], worker: Worker) -> None:
        found = await asyncio.gather(*(batcher.submit(n, 1) for n in range(10)))
        assert found == [2 * n for n in range(10)]
        assert len(worker.threads) == 1
        assert max(len(batch) for batch in worker.batches) == 4

    run(test)


def test_a_full_batch_does_not_wait() -> None:
    async def test(batcher: Batcher[int, int], worker: Worker) -> None:
        found = await asyncio.gather(*(batcher.submit(n, 2) for n in (1, 2)))
        assert found == [2, 4]
        assert worker.batches[0] == [1, 2]

    run(test, wait_s=1e6)


def test_a_batch_is_cut_by_events_and_a_larger_item_goes_alone() -> None:
    async def test(batcher: Batcher[int, int], worker: Worker) -> None:
        held = await busy(batcher, worker)
        tasks = await queued(
            batcher, *(batcher.submit(n, size) for n, size in ((1, 3), (2, 2), (3, 9), (4, 1)))
        )
        worker.gate.set()
        assert await asyncio.gather(held, *tasks) == [0, 2, 4, 6, 8]
        assert worker.batches == [[0], [1], [2], [3], [4]]

    run(test)


def test_an_exception_reaches_only_its_own_item() -> None:
    async def test(batcher: Batcher[int, int], worker: Worker) -> None:
        found = await asyncio.gather(
            *(batcher.submit(n, 1) for n in (1, -2, 3, 4)), return_exceptions=True
        )
        assert [found[0], *found[2:]] == [2, 6, 8]
        assert isinstance(found[1], ValueError)
        assert len(worker.batches) == 1

    run(test)


def test_work_that_fails_whole_or_miscounts_fails_all_and_the_next_batch_goes_on() -> None:
    async def main() -> None:
        results: list[Any] = [KeyError("whole"), [1], [7]]

        def work(items: list[int]) -> list[int | Exception]:
            result = results.pop(0)
            if isinstance(result, Exception):
                raise result
            return result  # type: ignore[no-any-return]

        batcher: Batcher[int, int] = Batcher(
            work, batch=2, wait_s=1e6, queue=9, deadline_s=60.0, name="worker"
        )
        for error in (KeyError, RuntimeError):
            found = await asyncio.gather(
                batcher.submit(1, 1), batcher.submit(2, 1), return_exceptions=True
            )
            assert [type(one) for one in found] == [error, error]
        assert await batcher.submit(3, 2) == 7
        await batcher.close()

    asyncio.run(main())


def test_the_queue_is_bounded_by_events_and_running_ones_do_not_count() -> None:
    async def test(batcher: Batcher[int, int], worker: Worker) -> None:
        held = await busy(batcher, worker)
        tasks = await queued(batcher, batcher.submit(1, 3), batcher.submit(2, 2))
        with pytest.raises(Overloaded):
            await batcher.submit(3, 1)
        worker.gate.set()
        assert await asyncio.gather(held, *tasks) == [0, 2, 4]
        assert await batcher.submit(3, 1) == 6

    levels = run(test, queue=5)
    assert max(levels) == 5
    assert levels[-1] == 0


def test_the_deadline_ends_waiting_and_running_items() -> None:
    async def test(batcher: Batcher[int, int], worker: Worker) -> None:
        held = await busy(batcher, worker)
        (waiting,) = await queued(batcher, batcher.submit(1, 1))
        for task in (held, waiting):
            with pytest.raises(Overloaded, match="within 10 ms"):
                await task
        assert batcher.waiting == 0

    run(test, deadline_s=0.01)


def test_without_abandon_a_running_item_is_seen_through() -> None:
    async def test(batcher: Batcher[int, int], worker: Worker) -> None:
        held = await busy(batcher, worker)
        (waiting,) = await queued(batcher, batcher.submit(1, 1))
        with pytest.raises(Overloaded):
            await waiting
        assert not held.done()  # its deadline was the earlier one
        worker.gate.set()
        assert await held == 0
        assert worker.batches == [[0]]

    run(test, deadline_s=0.01, abandon=False)


def test_a_cancelled_item_leaves_the_queue_and_is_not_worked_on() -> None:
    async def test(batcher: Batcher[int, int], worker: Worker) -> None:
        held = await busy(batcher, worker)
        gone, stays = await queued(batcher, batcher.submit(1, 3), batcher.submit(2, 1))
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert batcher.waiting == 1
        worker.gate.set()
        assert await asyncio.gather(held, stays) == [0, 4]
        assert worker.batches == [[0], [2]]

    run(test)


def test_an_item_cancelled_while_running_spoils_nothing() -> None:
    async def test(batcher: Batcher[int, int], worker: Worker) -> None:
        held = await busy(batcher, worker)
        held.cancel()
        (next_one,) = await queued(batcher, batcher.submit(1, 1))
        worker.gate.set()
        assert await next_one == 2

    run(test)


def test_closing_refuses_who_waits_and_lets_the_running_end() -> None:
    async def test(batcher: Batcher[int, int], worker: Worker) -> None:
        held = await busy(batcher, worker)
        (waiting,) = await queued(batcher, batcher.submit(1, 1))
        closing = asyncio.create_task(batcher.close())
        with pytest.raises(NotReady):
            await waiting
        worker.gate.set()
        assert await held == 0
        await closing
        with pytest.raises(NotReady):
            await batcher.submit(2, 1)
        assert worker.batches == [[0]]

    run(test)
