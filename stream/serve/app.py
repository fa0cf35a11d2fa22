"""Puts the endpoint together: routes, batchers, problems, counting."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI

from stream.clock import Clock, SystemClock
from stream.config import Settings
from stream.metrics import Metrics
from stream.serve.access import Guard, Keys
from stream.serve.batcher import Batcher
from stream.serve.decode import Decoder
from stream.serve.generations import generations
from stream.serve.health import health
from stream.serve.inference import inference
from stream.serve.observe import Observe
from stream.serve.openapi import document
from stream.serve.page.mount import Live, Page
from stream.serve.page.window import window
from stream.serve.problems import install
from stream.serve.reads import reads
from stream.serve.shed import Shed
from stream.serve.view import Inlet, ViewSource
from stream.serve.work import predictor, sender
from stream.serve.writes import Predicting, Sending, writes
from stream.traces import Traces

_HERE = ("127.0.0.1", "::1", "localhost")

_log = logging.getLogger(__name__)


def create_app(
    settings: Settings,
    views: ViewSource,
    inlet: Inlet | None,
    metrics: Metrics,
    clock: Clock | None = None,
    elsewhere: Callable[[], bytes] | None = None,
    traces: Traces | None = None,
) -> FastAPI:
    """Make the endpoint as an ASGI app.

    Parameters
    ----------
    settings
        `serve`, `limits` and `learn.top_k` are read; without `serve.tokens_file` all may ask.
    views
        Where each answer's view comes from; called from several threads.
    inlet
        Takes events and feedback, one call at a time from one thread; None refuses them.
    metrics
        Where requests are counted, and what `/metrics` shows.
    clock
        Times requests, and stamps events that have no time of their own.
    elsewhere
        The metrics of the pipeline where that is another process; of `metrics` only the
        endpoint's own are shown then.
    traces
        Where requests leave spans, if anywhere.

    Returns
    -------
    FastAPI
        Its lifespan ends the worker threads; run it with a server that honours it.
    """
    clock = SystemClock() if clock is None else clock
    serve = settings.serve
    predicting: Predicting = Batcher(
        predictor(views, serve.batch),
        batch=serve.batch,
        wait_s=serve.wait_ms / 1000,
        queue=serve.queue,
        deadline_s=serve.deadline_ms / 1000,
        on_waiting=lambda events: metrics.set("braid_http_queue_events", events),
        name="braid-predict",
    )
    sending: Sending | None = None
    if inlet is not None:
        sending = Batcher(
            sender(inlet),
            batch=serve.request_events,
            wait_s=0,  # while one send is under way the next gathers
            queue=serve.queue,
            deadline_s=serve.deadline_ms / 1000,
            abandon=False,  # what is being sent may arrive; a 429 would deny it
            name="braid-send",
        )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if live is not None:
            live.start()
        yield
        if live is not None:
            await live.close()
        await predicting.close()
        if sending is not None:
            await sending.close()

    app = FastAPI(
        title="Braidstream",
        version=_version(),
        description="Tags events with the labels that fit them, and learns as it goes.",
        lifespan=lifespan,
        docs_url=None,  # the pages would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    install(app)
    document(app)
    if serve.tokens_file is None and serve.host not in _HERE:
        _log.warning("anyone who reaches %s may ask and teach: set serve.tokens_file", serve.host)
    keys = None if serve.tokens_file is None else Keys(serve.tokens_file, clock)
    decoder = Decoder(settings, metrics, clock)
    live: Live | None = None
    if serve.page:
        live = Live(window(settings, views, metrics, elsewhere, decoder, keys, clock))
        app.add_middleware(Page, live=live)
    if keys is not None:
        app.add_middleware(Guard, keys=keys, metrics=metrics)
    app.add_middleware(Shed, most=serve.in_flight)
    app.add_middleware(Observe, metrics=metrics, clock=clock, traces=traces)
    app.include_router(
        writes(
            decoder, predicting, sending,
            top_k=settings.learn.top_k, limit=serve.body_bytes, body_s=serve.body_s,
        )
    )  # fmt: skip
    app.include_router(
        inference(
            decoder, predicting, views, top_k=settings.learn.top_k, limit=serve.body_bytes,
            body_s=serve.body_s, version=app.version,
        )
    )  # fmt: skip
    app.include_router(reads(views))
    app.include_router(generations(views))
    app.include_router(health(views, metrics, elsewhere))
    return app


def _version() -> str:
    try:
        return version("braidstream")
    except PackageNotFoundError:  # run from a checkout
        return "0"
