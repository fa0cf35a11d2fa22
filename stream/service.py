"""The service put together: source, pipeline, sink, endpoint, signals, and a line of progress."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from indexes.warm import warm as warm_index
from stream import encoders, state
from stream.beside import beside
from stream.checkpoint import SnapshotStore, opened
from stream.clock import SystemClock
from stream.config import Settings
from stream.errors import SettingError, SnapshotError
from stream.learn.warmup import warm
from stream.metrics import Metrics
from stream.progress import Progress
from stream.retrieval import require
from stream.runner import Runner
from stream.shared.publisher import SharedPublisher
from stream.sink import FileSink, NullSink
from stream.source.base import Sink, Source
from stream.source.folder import Folder
from stream.source.local import LocalSource, jsonl
from stream.source.synthetic import Planted, SyntheticStream, Vast, VastStream
from stream.traces import Traces, begun
from stream.training.opening import school_of
from stream.views import Publisher

if TYPE_CHECKING:
    from stream.serve.server import EndpointServer
    from stream.shared.process import EndpointProcess

log = logging.getLogger(__name__)

_ROUTES = "/v1/predict, /v1/model, /metrics"
_LINE_S = 1.0
_PIPE_LINE_S = 5.0
_IDLE = 12  # times longer between lines of a pipe while nothing comes


@dataclass(frozen=True)
class Local:
    """A stream without a broker: `synthetic` (or `synthetic:` and labels), a folder or a file."""

    source: str
    output: Path | None = None
    text: bool = False


def serve_stream(
    settings: Settings, store: SnapshotStore | None, local: Local | None, seconds: float
) -> int:
    """Run until the stream ends, time is up, or a signal comes; the exit status."""
    stop = _stop_on_signals()
    require(settings.index)
    if name := settings.encoder.plugin:
        _say(f"braid: loading the encoder {name}")
        encoders.load(name, settings.encoder.model)
    if local is not None:
        _known(local)
    ahead = beside(partial(state.recover, settings, store), "recover")
    _say("braid: loading the compiled kernels (the first start compiles them)")
    warm()
    warm_index()
    clock, metrics = SystemClock(), Metrics()
    apart = settings.serve.enabled and settings.serve.process
    publisher = (SharedPublisher if apart else Publisher)(settings.serve.view_s, clock, metrics)
    try:
        return _run(settings, local, seconds, stop, store, ahead, publisher)
    finally:
        publisher.close()


def _run(
    settings: Settings, local: Local | None, seconds: float, stop: threading.Event,
    store: SnapshotStore | None, ahead: Future[state.Recovered | None], publisher: Publisher,
) -> int:  # fmt: skip
    metrics, school = publisher.metrics, school_of(settings)
    source, sink, inlet = _kafka(settings) if local is None else _local(settings, local)
    line = _Line()
    traces = begun(settings.traces)
    runner = Runner(
        settings, source, sink, store, publisher, metrics, SystemClock(), line.tick, traces
    )
    if runner.restore(ahead):
        _say(f"braid: going on from a snapshot at position {runner.pipeline.model.position:,}")
    if school is not None:
        runner.pipeline.generations.enrol(school)
    server = None
    if settings.serve.enabled:
        publisher.refresh(runner.pipeline, 0, force=True)
        server = _endpoint(settings, publisher, inlet, metrics, traces)
    if seconds:
        timer = threading.Timer(seconds, stop.set)
        timer.daemon = True
        timer.start()
    start = time.monotonic()
    try:
        runner.run(stop)
    finally:
        line.end()
        runner.pipeline.generations.close()
        if server is not None:
            server.stop()
        if hasattr(inlet, "close"):
            inlet.close()
        if traces is not None:
            traces.close()
    _say(_summary(runner, time.monotonic() - start))
    problems = runner.problems() if local is not None else []  # it ended by itself
    for problem in problems:
        _say(f"braid: {problem}")
    return 1 if problems else 0


def serve_snapshot(settings: Settings) -> int:
    """Answer from the newest snapshot until a signal comes; the exit status."""
    stop = _stop_on_signals()
    store = opened(settings.checkpoint)
    snapshot = store.load() if store else None
    if snapshot is None:
        raise SnapshotError(
            f"there is no snapshot to serve in checkpoint.folder={settings.checkpoint.folder}",
            remedy="set checkpoint.folder to the folder that braid run writes to",
        )
    clock, metrics = SystemClock(), Metrics()
    publisher = Publisher(settings.serve.view_s, clock, metrics, follows=False)
    publisher.refresh(state.revive(settings, snapshot), 0, force=True)
    traces = begun(settings.traces)
    server = _endpoint(settings, publisher, None, metrics, traces)
    stop.wait()
    server.stop()
    if traces is not None:
        traces.close()
    return 0


def _kafka(settings: Settings) -> tuple[Source, Sink, Any]:
    """Source, sink and, but where the endpoint's process has its own, the way in for events."""
    from stream.source.kafka import KafkaInlet, KafkaSink, KafkaSource

    with ExitStack() as undo:
        source = KafkaSource(settings.kafka, settings.topics)
        undo.callback(source.close)
        sink = KafkaSink(settings.kafka)
        undo.callback(sink.close)
        apart = settings.serve.enabled and settings.serve.process
        inlet = None if apart else KafkaInlet(settings.kafka, settings.topics)
        undo.pop_all()
    return source, sink, inlet


def _known(local: Local) -> None:
    """Refuse a source that is not there, before anything takes time."""
    if _vast(local) or local.source == "synthetic" or Path(local.source).exists():
        return
    raise SettingError(
        "--source",
        local.source,
        "write kafka, synthetic, synthetic:LABELS, or the path of a folder or file",
    )


def _vast(local: Local) -> int:
    """How many labels of the vast synthetic stream are asked for, 0 for another source."""
    kind, _, labels = local.source.partition(":")
    return int(labels) if kind == "synthetic" and labels.isdecimal() else 0


def _local(settings: Settings, local: Local) -> tuple[Source, Sink, Any]:
    topic = settings.topics
    path = Path(local.source)
    if labels := _vast(local):
        vast = VastStream(Vast(labels, remix=10_000, tour=True, seed=settings.learn.seed))
        source = LocalSource(vast.records, topic)
    elif local.source == "synthetic":
        planted = Planted(seed=settings.learn.seed)
        source = LocalSource(
            lambda start: islice(SyntheticStream(planted).records(), start, None), topic
        )
    elif path.is_dir():
        folder = Folder(path, local.text or (path / "texts.jsonl.gz").exists())
        source = LocalSource(
            lambda start: islice(folder.records(), start, None), topic, folder.events
        )
    else:
        source = LocalSource(lambda start: islice(jsonl(path), start, None), topic)
    sink: Sink = NullSink() if local.output is None else FileSink(local.output)
    return source, sink, source


def _endpoint(
    settings: Settings, publisher: Publisher, inlet: Any, metrics: Metrics, traces: Traces | None
) -> EndpointServer | EndpointProcess:
    if isinstance(publisher, SharedPublisher):
        from stream.shared.process import EndpointProcess

        apart = EndpointProcess(settings, publisher, inlet, kafka=inlet is None)
        _say(f"braid: endpoint at {apart.start()}, a process of its own ({_ROUTES})")
        return apart
    from stream.serve.app import create_app
    from stream.serve.server import EndpointServer

    app = create_app(settings, publisher, inlet, metrics, traces=traces)
    serve = settings.serve
    server = EndpointServer(
        app, serve.host, serve.port, serve.tls_certfile, serve.tls_keyfile, serve.head_s
    )
    _say(f"braid: endpoint at {server.start()} ({_ROUTES})")
    return server


def _stop_on_signals() -> threading.Event:
    """Set on the first SIGTERM or SIGINT; the second ends the process at once."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise SystemExit(128 + number)
        stop.set()

    with suppress(ValueError):  # only the main thread may; tests use others
        signal.signal(signal.SIGTERM, ask)
        signal.signal(signal.SIGINT, ask)
    return stop


class _Line:
    """A live line on a terminal, a line every few seconds in a pipe."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._every = _LINE_S if self._live else _PIPE_LINE_S
        self._at = time.monotonic()
        self._events = 0

    def tick(self, runner: Runner) -> None:
        """Print where it is time."""
        now = time.monotonic()
        idle = runner.progress.events == self._events and not self._live
        if now - self._at < self._every * (_IDLE if idle else 1):
            return
        progress = runner.progress
        rate = (progress.events - self._events) / (now - self._at)
        self._at, self._events = now, progress.events
        text = _line(runner, rate)
        sys.stdout.write(f"\r{text}\x1b[K" if self._live else f"{text}\n")
        sys.stdout.flush()

    def end(self) -> None:
        """Leave the live line standing."""
        if self._live:
            sys.stdout.write("\n")


def _line(runner: Runner, rate: float) -> str:
    progress, model = runner.progress, runner.pipeline.model
    return (
        f"{progress.events:>9,} events  {rate:>6,.0f}/s  P@1 {_precision(progress, 1)}  "
        f"P@5 {_precision(progress, 5)}  {len(model.labels):,} labels  "
        f"{model.partitioner.leaves:,} partitions  {progress.alarms} alarms  "
        f"lag {runner.lag:,}"
    )


def _precision(progress: Progress, k: int) -> str:
    """Precision at k since the start, a dash before anything was scored."""
    return f"{progress.precision(k):.3f}" if progress.weight else "-"


def _summary(runner: Runner, seconds: float) -> str:
    progress, model = runner.progress, runner.pipeline.model
    retrieval = runner.pipeline.retrieval
    index = f"{retrieval.index.kind}: {retrieval.reason}" if retrieval else "none: few labels"
    return (
        f"braid: {progress.events:,} events in {seconds:.1f} s "
        f"({progress.events / max(seconds, 1e-9):,.0f}/s), {progress.learnt:,} learnt, "
        f"{progress.dead:,} dead letters\n"
        f"  P@1 {_precision(progress, 1)}, P@5 {_precision(progress, 5)} "
        f"over the last 1,000 or so, each predicted before it was learnt\n"
        f"  {len(model.labels):,} labels in {model.partitioner.leaves:,} partitions, "
        f"{progress.splits:,} splits, {progress.merges:,} merges, "
        f"{progress.alarms:,} drift alarms\n"
        f"  index {index}"
    )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
