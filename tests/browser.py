"""A real Chromium, and a real service whose page it opens."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache"
KEPT = CACHE / "screenshots"
BRAID = [sys.executable, "-c", "from stream.cli import main; main()"]
DESKTOP, PHONE = (1440, 900), (390, 844)
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_START_S, _STOP_S = 240, 60


@cache
def chromium() -> str:
    """The path of a Chromium; Debian's package is installed where that may be. Empty for none."""
    if (found := _found()) or shutil.which("apt-get") is None or os.geteuid():
        return found
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be installing it
        if not _found():
            for words in (["update", "-qq"], ["install", "-qq", "-y", "chromium"]):
                subprocess.run(
                    ["apt-get", *words], capture_output=True, check=False, timeout=600,
                    env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                )  # fmt: skip
    return _found()


@contextmanager
def browser() -> Iterator[Any]:
    """A headless browser, as Playwright drives it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # its own sandbox cannot be set up by root, or in a container
        opened = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            yield opened
        finally:
            opened.close()


class Window:
    """A page of a browser window, and what went wrong in it.

    Attributes
    ----------
    wrong : list of str
        Errors on the console, exceptions, requests that failed, and requests to elsewhere.
    """

    def __init__(
        self, browser: Any, address: str, size: tuple[int, int] = DESKTOP, scheme: str = "light"
    ) -> None:
        self.address = address
        self.wrong: list[str] = []
        self.sockets: list[Any] = []
        self._context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme,
            has_touch=size == PHONE, is_mobile=size == PHONE, device_scale_factor=1,
        )  # fmt: skip
        self.page = self._context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.wrong.append(f"exception: {error}"))
        self.page.on("request", lambda one: self._asked(one.url))
        self.page.on("requestfailed", lambda one: self.wrong.append(f"failed: {one.url}"))
        self.page.on("websocket", self._socket)
        self.page.goto(address)

    def until(self, expression: str, timeout_s: float = 40) -> None:
        """Wait until a JavaScript expression is true."""
        # a policy forbids what Playwright would poll with in the page's own frame
        self.page.wait_for_function(
            f"() => Boolean({expression})", timeout=1000 * timeout_s, polling=200
        )

    def tell(self, expression: str) -> Any:
        """What a JavaScript expression is."""
        return self.page.evaluate(expression)

    def drawn(self, rows: int = 3) -> None:
        """Wait until so many samples are drawn, and the hierarchy."""
        self.until(
            f"globalThis.braid && braid.state.rows.length >= {rows} && braid.state.tree.length"
            " && Object.values(braid.state.charts).every((one) => one.made)"
        )

    def keep(self, name: str, folder: Path = KEPT) -> Path:
        """Keep a picture of the whole page."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.png"
        self.page.evaluate("globalThis.braid?.state.names.length && braid.draw(true)")
        self.page.screenshot(path=path, full_page=True)
        return path

    def close(self) -> None:
        """Close the window."""
        self._context.close()

    def _console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.wrong.append(f"{message.type}: {message.text}")

    def _asked(self, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            self.wrong.append(f"elsewhere: {url}")

    def _socket(self, socket: Any) -> None:
        self.sockets.append(socket)
        self._asked(socket.url.replace("ws", "http", 1))


@contextmanager
def service(
    *sets: str, source: str = "synthetic", nice: int = 0
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`braid run` with its endpoint on a free port: the process and the address.

    Without a source it is `braid serve`, for which a port has to be among the settings.
    A `nice` one leaves processor time to the browsers beside it.
    """
    words = ["run", "--source", source] if source else ["serve"]
    begin = ["nice", "-n", str(nice), *BRAID] if nice else BRAID
    for one in ("serve.port=0", *sets):
        words += ["--set", one]
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told"
        with told.open("wb") as out:
            running = subprocess.Popen([*begin, *words], stdout=out, cwd=ROOT)
        try:
            yield running, _address(running, told) if source else _answering(running, sets)
        finally:
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def _address(running: subprocess.Popen[bytes], told: Path) -> str:
    end = time.monotonic() + _START_S
    while running.poll() is None and time.monotonic() < end:
        if found := re.search(r"http://\S+?(?=,|\s)", told.read_text()):
            return found[0]
        time.sleep(0.05)
    raise RuntimeError(f"the service did not start: {told.read_text()}")


def _answering(running: subprocess.Popen[bytes], sets: Sequence[str]) -> str:
    """The address of an endpoint that does not print it, when it answers."""
    (port,) = (one.removeprefix("serve.port=") for one in sets if one.startswith("serve.port="))
    end = time.monotonic() + _START_S
    while running.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", int(port)), 1):
            return f"http://127.0.0.1:{port}"
        time.sleep(0.05)
    raise RuntimeError("the service did not start")


def _found() -> str:
    return next((path for name in _NAMES if (path := shutil.which(name))), "")
