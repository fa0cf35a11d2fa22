"""An open load on POST /v1/predict: requests leave at their time, whatever became of those before.

    python tests/bench/open_load.py ADDRESS --rate 200 --seconds 20 --labels 1000000

Latency counts from the moment for which a request was scheduled, so that neither a server that
stalls nor this process being late goes unseen. Prints one line of JSON: milliseconds, in order,
of each request (`ms`) and of how late it left (`late_ms`), which is this process's own share,
and the places of those that had another answer than 200, or none (`refused`).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import orjson

from stream.source.synthetic import Vast, VastStream

_FAR = 50_000_000  # events that no learner of this run has come to
_IDLE_S = 3.0  # a server may close a connection that was idle for five
_PATIENCE_S = 30.0
Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def requests(count: int, labels: int) -> list[bytes]:
    """Whole HTTP requests, one text each, for its ten likeliest labels."""
    made = []
    for event in islice(VastStream(Vast(labels)).events(_FAR), count):
        body = orjson.dumps({"events": [{"text": event.text}], "k": 10})
        head = (
            "POST /v1/predict HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


async def ask(pipe: Pipe, request: bytes) -> bool:
    """Send a request and read its answer; whether that was 200."""
    reader, writer = pipe
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    await reader.readexactly(length)
    return head.startswith(b"http/1.1 200")


async def load(address: str, rate: float, sent: list[bytes]) -> dict[str, object]:
    """Milliseconds of each request by its place, and which had another answer than 200, or none."""
    where = urlsplit(address)
    free: list[tuple[Pipe, float]] = []
    took, late = [0.0] * len(sent), [0.0] * len(sent)
    refused: list[int] = []

    async def one(at: int, scheduled: float) -> None:
        pipe, used = free.pop() if free else (None, 0.0)
        if pipe is None or time.monotonic() - used > _IDLE_S:
            pipe = await asyncio.open_connection(where.hostname, where.port)
        late[at] = 1e3 * (time.monotonic() - scheduled)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                fine = await ask(pipe, sent[at])
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            fine = False
        took[at] = 1e3 * (time.monotonic() - scheduled)
        if not fine:
            refused.append(at)
        free.append((pipe, time.monotonic()))

    begun = time.monotonic() + 0.1
    running = []
    for at in range(len(sent)):
        scheduled = begun + at / rate
        wait = scheduled - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        running.append(asyncio.ensure_future(one(at, scheduled)))
    await asyncio.gather(*running)
    for (_, writer), _ in free:
        writer.close()
    return {"ms": took, "late_ms": late, "refused": refused}


def main() -> None:
    """Load, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--labels", type=int, default=1_000_000)
    chosen = parser.parse_args()
    sent = requests(int(chosen.rate * chosen.seconds), chosen.labels)
    gc.disable()  # a pause of this process would count as the server's
    found = asyncio.run(load(chosen.address, chosen.rate, sent))
    print(orjson.dumps(found | {"cpu_s": time.process_time()}).decode())


if __name__ == "__main__":
    main()
