"""Runs the endpoint in a thread of its own, beside the poll loop."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
import threading
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from stream.errors import BraidError, SettingError
from stream.serve.punctual import punctual

GRACE_S = 5
"""Seconds that open requests have at the stop."""
_BACKLOG = 2_048
_WORDS = 262_144
"""Bytes of a websocket's message at most; the page's box takes far less."""

_log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """Says when it accepts connections."""

    def __init__(self, config: uvicorn.Config, accepting: threading.Event) -> None:
        super().__init__(config)
        self._accepting = accepting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._accepting.set()


class EndpointServer:
    """uvicorn in a background thread with its own event loop; signals stay the caller's.

    Parameters
    ----------
    app
        What to serve.
    host
        Address to listen on.
    port
        Port to listen on; 0 picks a free one.
    certfile, keyfile
        PEM files for HTTPS; the key may be in the first. None for plain HTTP.
    head_s
        Seconds in which the head of a request must have come; then the connection is closed.

    Raises
    ------
    SettingError
        The files hold no certificate with its key.

    Examples
    --------
    >>> from fastapi import FastAPI
    >>> server = EndpointServer(FastAPI(), "127.0.0.1", 0)
    >>> server.start().startswith("http://127.0.0.1:")
    True
    >>> server.stop()
    """

    def __init__(
        self, app: ASGIApp, host: str, port: int, certfile: Path | None = None,
        keyfile: Path | None = None, head_s: float = 10.0,
    ) -> None:  # fmt: skip
        self._host = host
        self._port = port
        self._scheme = "http" if certfile is None else "https"
        _check(certfile, keyfile)
        self._settled = threading.Event()
        config = uvicorn.Config(
            app,
            http=punctual(head_s),
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="on",
            ws="websockets-sansio",
            ws_max_size=_WORDS,
            ws_per_message_deflate=False,  # the page's messages are small, and many
            loop="uvloop",
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
            ssl_certfile=certfile,
            ssl_keyfile=keyfile,
        )
        self._server = _Server(config, self._settled)
        self._thread: threading.Thread | None = None

    def start(self) -> str:
        """Begin to serve.

        Returns
        -------
        str
            The address, such as `http://127.0.0.1:8080`, with the real port.

        Raises
        ------
        SettingError
            The address cannot be listened on; it names `serve.port` or `serve.host`.
        BraidError
            The app failed to start; the log has the reason.
        """
        listening = self._bind()
        host, port = listening.getsockname()[:2]
        self._thread = threading.Thread(
            target=self._run, args=(listening,), name="braid-http", daemon=True
        )
        self._thread.start()
        self._settled.wait()
        if not self._server.started:
            self._thread.join()
            raise BraidError("the endpoint did not start", remedy="see the log above")
        host = f"[{host}]" if ":" in host else host
        return f"{self._scheme}://{host}:{port}"

    def stop(self) -> None:
        """Take no more requests, answer the open ones, end the thread; may be called twice."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(2 * GRACE_S + 5)
            if self._thread.is_alive():
                _log.error("the endpoint's thread did not end")
            self._thread = None

    def _bind(self) -> socket.socket:
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # the latter: not even a name
            raise self._no_host(error) from None
        family, kind, protocol, _, address = found[0]
        # with the protocol named asyncio turns Nagle's delay off; else answers wait 40 ms
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(_BACKLOG)
        except OSError as error:
            listening.close()
            if error.errno == errno.EADDRNOTAVAIL:
                raise self._no_host(error) from None
            raise SettingError(
                "serve.port",
                self._port,
                f"{self._host} cannot be listened on there ({error.strerror}); "
                "choose a free port, or 0 for any",
            ) from None
        return listening

    def _no_host(self, error: Exception) -> SettingError:
        return SettingError("serve.host", self._host, f"name an address of this machine ({error})")

    def _run(self, listening: socket.socket) -> None:
        try:
            self._server.run(sockets=[listening])
        except SystemExit:
            _log.error("the endpoint's app failed to start")  # uvicorn logged why
        except Exception:
            _log.exception("the endpoint ended")
        finally:
            listening.close()
            self._settled.set()


def _check(certfile: Path | None, keyfile: Path | None) -> None:
    """Load what uvicorn will, so that the start ends with the setting's name."""
    if certfile is None:
        if keyfile is not None:
            raise SettingError("serve.tls_keyfile", str(keyfile), "set serve.tls_certfile too")
        return
    try:
        # Given a password the library asks nobody for one; a key that needs one is refused.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certfile, keyfile, password="")
    except OSError as error:  # ssl.SSLError is one
        raise SettingError(
            "serve.tls_certfile",
            str(certfile),
            f"name PEM files with a certificate and its key, without a password ({error})",
        ) from None
