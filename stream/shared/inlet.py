"""Events that come in by HTTP, on their way from the endpoint's process to a local source."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

import orjson

from stream.errors import BraidError, Unavailable
from stream.serve.view import Inlet

log = logging.getLogger(__name__)

SOCKET = "inlet"
_JOIN_S = 5.0


class InletServer:
    """Takes events from the endpoint's process, and tells it whether they are safe.

    Parameters
    ----------
    path
        Of the socket, in a folder that is ours alone.
    inlet
        Where events go.
    """

    def __init__(self, path: Path, inlet: Inlet) -> None:
        self._inlet = inlet
        self._path = path
        self._closed = False
        self._listener = Listener(str(path), family="AF_UNIX")
        self._thread = threading.Thread(target=self._work, name="inlet", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more."""
        self._closed = True
        with suppress(OSError):
            Client(str(self._path), family="AF_UNIX").close()  # wakes the thread
        self._thread.join(_JOIN_S)
        self._listener.close()

    def _work(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except OSError:  # closed
                return
            with connection:
                if self._closed:
                    return
                self._serve(connection)

    def _serve(self, connection: Connection) -> None:
        while True:
            try:
                told, pairs = orjson.loads(connection.recv_bytes())
            except (EOFError, OSError):  # the endpoint's process has ended
                return
            try:
                send = self._inlet.describe if told else self._inlet.send
                send([(key.encode(), value and value.encode()) for key, value in pairs])
                answer = b""
            except BraidError as error:
                answer = str(error).encode()
            except Exception:
                log.exception("events that came by HTTP could not be taken")
                answer = b"the source failed; the log says why"
            connection.send_bytes(answer)


class RemoteInlet:
    """Sends events to the pipeline's process; for one thread. See `stream.serve.view.Inlet`."""

    def __init__(self, path: Path) -> None:
        self._connection = Client(str(path), family="AF_UNIX")

    def send(self, events: Sequence[tuple[bytes, bytes]]) -> None:
        """Send (key, value) pairs; returns when the source has them."""
        self._send(False, events)

    def describe(self, labels: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Send (label, description) pairs; returns when the source has them."""
        self._send(True, labels)

    def _send(self, told: bool, given: Sequence[tuple[bytes, bytes | None]]) -> None:
        pairs = [[key.decode(), value and value.decode()] for key, value in given]
        try:
            self._connection.send_bytes(orjson.dumps([told, pairs]))
            refused = self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise Unavailable(f"the pipeline's process does not answer: {error}") from error
        if refused:
            raise Unavailable(refused.decode())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
