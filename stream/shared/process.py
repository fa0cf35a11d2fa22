"""Starts the endpoint's process, starts it again where it ends, and stops it."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from pydantic import SecretStr

from stream.config import Settings
from stream.errors import BraidError
from stream.serve.view import Inlet
from stream.shared.inlet import SOCKET, InletServer
from stream.shared.publisher import SharedPublisher

log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_LONG_S = 60.0  # after so long a life a death is a new story
_GRACE_S = 15.0


class EndpointProcess:
    """HTTP in a process of its own.

    Parameters
    ----------
    settings
        Of the whole service.
    publisher
        Whose views are served.
    inlet
        Where events that come by HTTP go; None where the process has its own way, to Kafka.
    """

    def __init__(
        self, settings: Settings, publisher: SharedPublisher, inlet: Inlet | None, kafka: bool
    ) -> None:
        self._settings = settings
        self._publisher = publisher
        self._server = None if inlet is None else InletServer(publisher.folder / SOCKET, inlet)
        self._inlet = "kafka" if kafka else ("socket" if inlet else "none")
        self._port = settings.serve.port
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._keep, name="endpoint", daemon=True)

    def start(self) -> str:
        """Begin to serve; the address.

        Raises
        ------
        BraidError
            It did not come up; names why.
        """
        try:
            address = self._launch()
        except BraidError:
            self.stop()
            raise
        self._port = urlsplit(address).port or self._port
        self._watch.start()
        return address

    @property
    def pid(self) -> int:
        """Of the process, 0 while there is none."""
        return 0 if self._process is None else self._process.pid

    def stop(self) -> None:
        """End it, open requests answered."""
        self._stopping.set()
        self._end()
        if self._watch.is_alive():
            self._watch.join()  # it may be starting another one, and ends that
        if self._server is not None:
            self._server.close()

    def _end(self) -> None:
        """Ask the process to end, and see that it does."""
        process = self._process
        if process is None or process.stdin is None:
            return
        with suppress(OSError):
            process.stdin.close()  # which asks it
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            log.error("the endpoint's process does not end; killing it")  # noqa: TRY400
            process.kill()
            process.wait()

    def _launch(self) -> str:
        order = {
            "settings": _plain(self._settings.model_dump()),
            "folder": str(self._publisher.folder),
            "port": self._port,
            "inlet": self._inlet,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "stream.shared.child"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin is not None, "piped"
        assert process.stdout is not None, "piped"
        with suppress(BrokenPipeError):  # it has ended already, and said why
            process.stdin.write(orjson.dumps(order, default=str) + b"\n")
            process.stdin.flush()
        line = process.stdout.readline()
        process.stdout.close()
        told = orjson.loads(line) if line else {}
        if "address" not in told:
            with suppress(OSError):
                process.stdin.close()
            process.wait()
            why = told.get("error", "the log above says why")
            raise BraidError(f"the endpoint's process did not start: {why}")
        self._process = process
        return str(told["address"])

    def _keep(self) -> None:
        """Start it again whenever it ends by itself."""
        pause = _FIRST_PAUSE_S
        while self._process is not None:
            begun = time.monotonic()
            ended = self._process.wait()
            if self._stopping.is_set():
                return
            if time.monotonic() - begun > _LONG_S:
                pause = _FIRST_PAUSE_S
            log.error("the endpoint's process ended (%s); starting it again", ended)
            self._end()
            self._publisher.board.forget_readers()
            if self._stopping.wait(pause):
                return
            pause = min(2 * pause, _LONGEST_PAUSE_S)
            try:
                self._launch()
                if self._stopping.is_set():
                    self._end()
                    return
            except BraidError as error:
                log.error("%s", error)  # noqa: TRY400  # it tells all


def _plain(value: Any) -> Any:
    """Settings as JSON, the secrets in them too: they go through a pipe of our own."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value) if isinstance(value, Path) else value
