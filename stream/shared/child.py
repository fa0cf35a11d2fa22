"""The endpoint's process: maps the views, answers HTTP, and ends with the pipeline's process.

It is started with its settings as the first line of its input, and says its address in the first
line of its output. The input stays open for as long as the parent lives; a parent that was killed
leaves the mapped memory behind, which is removed here.
"""

from __future__ import annotations

import gc
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from indexes.warm import warm as warm_index
from stream import logs
from stream.config import Settings
from stream.errors import BraidError, NotReady
from stream.learn.warmup import warm
from stream.metrics import Metrics
from stream.serve.app import create_app
from stream.serve.server import EndpointServer
from stream.shared.inlet import SOCKET, RemoteInlet
from stream.shared.views import SharedViews
from stream.traces import begun

_WAIT_S = 120.0
_PAUSE_S = 0.05
_LOOK_S = 1.0


def main() -> None:
    """Serve until the input or the parent ends."""
    parent = os.getppid()
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent decides when to stop
        signal.signal(number, signal.SIG_IGN)
    order = orjson.loads(sys.stdin.buffer.readline())
    settings, folder = Settings.model_validate(order["settings"]), Path(order["folder"])
    logs.to_stderr(settings.log)
    os.nice(settings.serve.nice)  # the stream goes on at its pace, whatever comes by HTTP
    views = SharedViews(settings, folder)
    _warm(views)
    views.follow()
    metrics = Metrics()
    inlet: Any = None
    if order["inlet"] == "kafka":
        from stream.source.kafka import KafkaInlet

        inlet = KafkaInlet(settings.kafka, settings.topics)
    elif order["inlet"] == "socket":
        inlet = RemoteInlet(folder / SOCKET)
    serve = settings.serve
    traces = begun(settings.traces)
    try:
        app = create_app(settings, views, inlet, metrics, elsewhere=views.metrics, traces=traces)
        server = EndpointServer(
            app, serve.host, order["port"], serve.tls_certfile, serve.tls_keyfile, serve.head_s
        )
        address = server.start()
    except BraidError as error:
        _say({"error": str(error)})
        return
    gc.collect()
    gc.freeze()  # what is there now stays: no later collection looks at it
    _say({"address": address})
    # The parent's own forked children may hold the input open beyond its life.
    while os.getppid() == parent and not select.select([0], [], [], _LOOK_S)[0]:
        pass
    server.stop()
    views.close()
    if inlet is not None:
        inlet.close()
    if traces is not None:
        traces.close()
    if os.getppid() != parent:
        shutil.rmtree(folder, ignore_errors=True)


def _say(what: dict[str, str]) -> None:
    os.write(1, orjson.dumps(what) + b"\n")


def _warm(views: SharedViews) -> None:
    """Wait for the first view, and load the kernels that it and those to come may need."""
    warm()
    warm_index()
    end = time.monotonic() + _WAIT_S
    while True:
        try:
            views.current()
        except NotReady:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


if __name__ == "__main__":
    main()
