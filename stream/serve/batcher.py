"""Requests meet here, and one worker thread answers them together.

The event loop only queues; whatever takes time runs in the worker, one batch at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from stream.errors import NotReady, Overloaded

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(eq=False, slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    size: int
    answer: asyncio.Future[Result]


class Batcher(Generic[Item, Result]):
    """Collects items up to a size or a wait, and has them worked on together.

    Parameters
    ----------
    work
        Answers a list of items, in order, each with a result or an exception. It runs in
        the worker thread, never twice at once.
    batch
        Events worked on together at most; an item that is larger goes alone.
    wait_s
        Seconds that an item waits for company while the worker is idle.
    queue
        Events waiting at most, those being worked on left out.
    deadline_s
        Seconds until an item that has no answer is refused.
    abandon
        Whether the deadline also ends items that are being worked on; False where giving up
        would deny what may yet happen.
    on_waiting
        Called with the number of waiting events when it changes.
    """

    def __init__(
        self,
        work: Callable[[list[Item]], Sequence[Result | Exception]],
        *,
        batch: int,
        wait_s: float,
        queue: int,
        deadline_s: float,
        abandon: bool = True,
        on_waiting: Callable[[int], None] = lambda _: None,
        name: str = "braid-batcher",
    ) -> None:
        self._work = work
        self._batch = batch
        self._wait_s = wait_s
        self._queue = queue
        self._deadline_s = deadline_s
        self._abandon = abandon
        self._on_waiting = on_waiting
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting: deque[_Waiting[Item, Result]] = deque()
        self._events = 0
        self._timer: asyncio.TimerHandle | None = None
        self._running: asyncio.Future[Sequence[Result | Exception]] | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        """Events that wait now."""
        return self._events

    async def submit(self, item: Item, size: int) -> Result:
        """Have an item of `size` events answered.

        Raises
        ------
        Overloaded
            The queue is full, or the deadline passed.
        NotReady
            The batcher was closed.
        """
        if self._closed:
            raise NotReady("the endpoint is stopping")
        if self._events + size > self._queue:
            raise Overloaded(f"{self._events} events wait already, limit {self._queue}")
        loop = asyncio.get_running_loop()
        entry: _Waiting[Item, Result] = _Waiting(item, size, loop.create_future())
        self._waiting.append(entry)
        self._count(size)
        self._wake(loop)
        expiry = loop.call_later(self._deadline_s, self._expire, entry)
        try:
            return await entry.answer
        finally:
            expiry.cancel()
            self._forget(entry)  # still queued only when it expired or the client left

    async def close(self) -> None:
        """Refuse what waits, let the running batch end, end the worker."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for entry in self._waiting:
            if not entry.answer.done():
                entry.answer.set_exception(NotReady("the endpoint is stopping"))
        if self._running is not None:
            await asyncio.wait([self._running], timeout=self._deadline_s)
        self._thread.shutdown(wait=self._running is None)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._running is not None:
            return
        if self._events >= self._batch or self._wait_s == 0:
            self._start()
        elif self._timer is None:
            self._timer = loop.call_later(self._wait_s, self._start)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        taken = self._take()
        if not taken:
            return
        loop = asyncio.get_running_loop()
        items = [entry.item for entry in taken]
        self._running = loop.run_in_executor(self._thread, self._work, items)
        self._running.add_done_callback(lambda done: self._finish(taken, done))

    def _take(self) -> list[_Waiting[Item, Result]]:
        taken: list[_Waiting[Item, Result]] = []
        room = self._batch
        while self._waiting and (not taken or self._waiting[0].size <= room):
            entry = self._waiting.popleft()
            self._count(-entry.size)
            if not entry.answer.done():
                taken.append(entry)
                room -= entry.size
        return taken

    def _finish(
        self,
        taken: list[_Waiting[Item, Result]],
        done: asyncio.Future[Sequence[Result | Exception]],
    ) -> None:
        self._running = None
        for entry, result in zip(taken, self._results(done, len(taken)), strict=True):
            if entry.answer.done():  # expired, or the client left
                continue
            if isinstance(result, Exception):
                entry.answer.set_exception(result)
            else:
                entry.answer.set_result(result)
        if not self._closed:
            self._start()

    def _results(
        self, done: asyncio.Future[Sequence[Result | Exception]], expected: int
    ) -> Sequence[Result | Exception]:
        try:
            results = done.result()
        except Exception as error:
            return [error] * expected
        if len(results) != expected:
            return [RuntimeError(f"{len(results)} results for {expected} items")] * expected
        return results

    def _expire(self, entry: _Waiting[Item, Result]) -> None:
        if entry.answer.done() or not (self._abandon or entry in self._waiting):
            return
        limit = round(self._deadline_s * 1000)
        entry.answer.set_exception(Overloaded(f"no answer within {limit} ms"))

    def _forget(self, entry: _Waiting[Item, Result]) -> None:
        if entry in self._waiting:
            self._waiting.remove(entry)
            self._count(-entry.size)

    def _count(self, change: int) -> None:
        self._events += change
        self._on_waiting(self._events)
