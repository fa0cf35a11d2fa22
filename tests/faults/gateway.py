"""A network between a service and its brokers that can be slow, silent, or cut, node by node."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

_CHUNK = 1 << 16


@dataclass
class _Line:
    """The way to one node."""

    told: int
    behind: int
    open: asyncio.Event
    delay_s: float = 0.0
    refusing: bool = False
    writers: set[asyncio.StreamWriter] = field(default_factory=set)


class Gateway:
    """Passes bytes between the port that clients are told and the one behind it.

    Parameters
    ----------
    gates
        Both ports of each node; see `Cluster.gates`.
    """

    def __init__(self, gates: Sequence[tuple[int, int]]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._lines: list[_Line] = []
        self._servers: list[asyncio.Server] = []
        self._do(self._start(gates))
        self.bootstrap = ",".join(f"127.0.0.1:{told}" for told, _ in gates)

    def silence(self, node: int) -> None:
        """Nothing passes any more, and nobody is told: a partitioned network."""
        self._do(self._set(node, is_open=False))

    def cut(self, node: int) -> None:
        """End all connections and refuse new ones."""
        self._do(self._cut(node))

    def slow(self, node: int, seconds: float) -> None:
        """Let every piece wait on its way."""
        self._do(self._set(node, delay_s=seconds))

    def mend(self, node: int) -> None:
        """As it was; what was held up by silence arrives."""
        self._do(self._set(node))

    def close(self) -> None:
        """End it."""
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, what: Any) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(30)

    async def _start(self, gates: Sequence[tuple[int, int]]) -> None:
        for told, behind in gates:
            line = _Line(told, behind, asyncio.Event())
            line.open.set()
            self._lines.append(line)

            async def connect(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: _Line = line
            ) -> None:
                await self._join(reader, writer, line)

            self._servers.append(await asyncio.start_server(connect, "127.0.0.1", told))

    async def _stop(self) -> None:
        for node, server in enumerate(self._servers):
            server.close()
            await self._cut(node)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _set(self, node: int, is_open: bool = True, delay_s: float = 0.0) -> None:
        line = self._lines[node]
        line.delay_s, line.refusing = delay_s, False
        line.open.set() if is_open else line.open.clear()

    async def _cut(self, node: int) -> None:
        line = self._lines[node]
        line.refusing = True
        line.open.set()
        for writer in list(line.writers):
            writer.transport.abort()

    async def _join(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: _Line
    ) -> None:
        if line.refusing:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", line.behind)
        except OSError:  # the node is down
            writer.transport.abort()
            return
        line.writers |= {writer, back}
        with suppress(OSError):
            await asyncio.gather(self._pump(reader, back, line), self._pump(there, writer, line))
        for one in (writer, back):
            line.writers.discard(one)
            one.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: _Line
    ) -> None:
        while data := await reader.read(_CHUNK):
            await line.open.wait()
            if line.delay_s:
                await asyncio.sleep(line.delay_s)
            writer.write(data)
            await writer.drain()
        writer.close()
