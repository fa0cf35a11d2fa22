"""The live page in four states, as pictures for the documentation.

    python -m tests.screenshots [--out deploy/screenshots]

`start`, the first seconds; `steady`, a stream that stays as it is; `drift`, one whose groups have
re-mixed; `overload`, more requests than the endpoint takes. Each on a desktop and on a phone, one
of them light and the other dark.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from stream.source.synthetic import Planted, SyntheticStream
from tests.browser import DESKTOP, PHONE, ROOT, Window, browser, chromium, service

_TEXT = "plouflecrou fealitru cikefli troumeano gapiowe"
_LEARNT = "braid.state.rows.at(-1).at(-1)"
_ALARMS = "braid.state.events.filter(([, kind]) => kind < 2).length"
_WAIT_S = 300


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "deploy" / "screenshots")
    parser.add_argument("--only", choices=("start", "steady", "drift", "overload"))
    asked = parser.parse_args()
    if not chromium():
        raise SystemExit("Chromium is needed: apt-get install chromium")
    with browser() as opened:
        for state in (_start, _steady, _drift, _overload):
            if asked.only in {None, state.__name__[1:]}:
                state(opened, asked.out)


def _start(opened: Any, out: Path) -> None:
    with service() as (_, address), _windows(opened, address, "start", out) as windows:
        for window in windows:
            window.until("braid.state.rows.length")


def _steady(opened: Any, out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "steady.jsonl"
        stream = SyntheticStream(Planted(labels=2_000, first=0.97, appear=400, remix=0))
        with file.open("wb") as lines:
            lines.writelines(value + b"\n" for _, value in islice(stream.records(), 120_000))
        text = json.loads(next(SyntheticStream(stream.planted).records())[1])["text"]
        with (
            service(source=str(file)) as (_, address),
            _windows(opened, address, "steady", out) as windows,
        ):
            windows[0].until(f"{_LEARNT} > 16000", _WAIT_S)
            for window in windows:
                window.page.get_by_label("Text to tag").fill(text)
                window.page.get_by_role("button", name="Tag").click()
                window.page.locator("#answers .tag").first.wait_for()


def _drift(opened: Any, out: Path) -> None:
    with service() as (_, address), _windows(opened, address, "drift", out, turn=1) as windows:
        windows[0].until(f"{_LEARNT} > 21500 && {_ALARMS} > 4", _WAIT_S)


def _overload(opened: Any, out: Path) -> None:
    with (
        service("serve.in_flight=2") as (_, address),
        _windows(opened, address, "overload", out, turn=1) as windows,
    ):
        windows[0].until(f"{_LEARNT} > 4000", _WAIT_S)
        with _load(address):
            windows[0].until("braid.state.rows.filter((row) => row[8] > 0).length > 20", _WAIT_S)


@contextmanager
def _windows(
    opened: Any, address: str, state: str, out: Path, turn: int = 0
) -> Iterator[list[Window]]:
    """A desktop and a phone, of which pictures are kept at the end."""
    schemes = ("light", "dark") if not turn else ("dark", "light")
    windows = [
        Window(opened, address, size=size, scheme=scheme)
        for size, scheme in zip((DESKTOP, PHONE), schemes, strict=True)
    ]
    yield windows
    for window, kind in zip(windows, ("desktop", "phone"), strict=True):
        window.page.wait_for_timeout(1_500)
        path = window.keep(f"{state}-{kind}", out)
        picture = Image.open(path).convert("RGB")
        picture.quantize(256, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB", *window.wrong)
        window.close()


@contextmanager
def _load(address: str, threads: int = 12) -> Iterator[None]:
    """Requests without pause, whatever becomes of them."""
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=address, timeout=30) as client:
            while not stop.is_set():
                client.post("/v1/predict", json={"events": [{"text": _TEXT}] * 8})
                stop.wait(0.05)

    workers = [threading.Thread(target=ask, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        stop.set()
        for worker in workers:
            worker.join(30)


if __name__ == "__main__":
    main()
