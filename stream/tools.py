"""What the commands other than `run` and `serve` do."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from stream.config import Settings
from stream.errors import SettingError, SourceError

_FIGURES = (
    "events", "labels", "events_per_second", "micro_f1", "macro_f1", "subset_accuracy",
    "hamming_loss", "precision_at_1", "precision_at_3", "precision_at_5", "partitions",
)  # fmt: skip


def evaluate(
    settings: Settings, folders: list[Path], limit: int, text: bool, names: Any, json: bool
) -> int:
    """Score folders prequentially; JSON lines, or a table."""
    from indexes.warm import warm as warm_index
    from stream.evaluate import Task, score_all
    from stream.learn.warmup import warm

    warm()  # compiling is not the stream's time
    warm_index()
    rows = []
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        for folder in folders:
            shown = bar.add_task(folder.name, total=None)
            for figures in score_all(Task(folder, limit, text, names), settings):
                note = f"{folder.name}  micro-F1 {figures['micro_f1']:.3f}"
                bar.update(
                    shown, total=figures["of"], completed=figures["events"], description=note
                )
            figures.pop("of")
            rows.append(figures)
            if json:
                sys.stdout.write(orjson.dumps(figures).decode() + "\n")
                sys.stdout.flush()
    if not json:
        _print_table(rows)
    return 0


def _print_table(rows: list[dict[str, Any]]) -> None:
    table = Table("dataset", *_FIGURES)
    for row in rows:
        table.add_row(row["dataset"], *(_short(row[name]) for name in _FIGURES))
    if len(rows) > 1:
        mean = {name: sum(row[name] for row in rows) / len(rows) for name in _FIGURES}
        table.add_section()
        table.add_row("mean", *(_short(mean[name]) for name in _FIGURES))
    wide = None if sys.stdout.isatty() else 200
    Console(width=wide).print(table)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.4f}"


def replay(settings: Settings, path: Path, rate: float, limit: int, text: bool) -> int:
    """Send a folder or a JSONL file to the events topic."""
    from stream.source.kafka import produce
    from stream.source.local import jsonl

    pairs: Iterable[tuple[bytes, bytes]]
    if path.is_dir():
        from stream.source.folder import Folder

        folder = Folder(path, text)
        total = min(limit or folder.events, folder.events)
        pairs = folder.records(total)
    elif path.is_file():
        lines = jsonl(path)
        with path.open("rb") as file:
            total = sum(1 for line in file if line.strip())
        total = min(limit or total, total)
        pairs = (pair for _, pair in zip(range(total), lines, strict=False))
    else:
        raise SourceError(f"{path} is neither a folder nor a file", remedy="name one that is")
    if rate < 0:
        raise SettingError("--rate", rate, "write events a second, or 0 for all speed")
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        shown = bar.add_task(f"to {settings.topics.events}", total=total)
        sent = produce(
            settings.kafka, settings.topics.events, pairs, rate or None,
            lambda done: bar.update(shown, completed=done),
        )  # fmt: skip
    sys.stdout.write(f"braid: {sent:,} events are on {settings.topics.events}\n")
    return 0


def make_topics(settings: Settings, partitions: int, replication: int) -> int:
    """Make the topics and say which were there."""
    from stream.source.kafka import create_topics

    made = create_topics(settings.kafka, settings.topics, partitions, replication)
    for name, new in made.items():
        sys.stdout.write(f"{name}: {'made' if new else 'was there'}\n")
    return 0


def inspect(folder: Path) -> int:
    """Print what a snapshot holds, after checking it."""
    from stream.checkpoint import SnapshotStore, read
    from stream.errors import SnapshotError

    if (folder / "manifest.json").exists():
        snapshot = read(folder)
    else:
        found = SnapshotStore(folder).load() if folder.is_dir() else None
        if found is None:
            raise SnapshotError(f"{folder} holds no snapshot", remedy="name the right folder")
        snapshot = found
    meta = snapshot.meta
    body = {
        "positions": meta["positions"],
        "topic_ids": meta["topic_ids"],
        "events_learnt": meta["model"]["position"],
        "learner": meta["model"]["kind"],
        "labels": len(snapshot.arrays["labels.ids"]),
        "index": meta["index"],
        "generations": meta["generations"],
        "waiting_events": len(meta["room"]["events"]),
        "bytes": sum(array.nbytes for array in snapshot.arrays.values()),
        "arrays": {name: f"{array.dtype} {array.shape}" for name, array in snapshot.arrays.items()},
    }
    sys.stdout.write(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0


def check(settings: Settings, labels: int, width: int) -> None:
    """Print the settings, and what they take at so many labels."""
    from stream.memory import plan

    parts = plan(settings, labels, width)
    total = sum(part.bytes for part in parts)
    memory = {"labels": labels, "bytes": total, "parts": [asdict(part) for part in parts]}
    body = settings.model_dump(mode="json") | {"memory": memory}
    sys.stdout.write(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode() + "\n")
    table = Table("part", "setting", "entries", "bytes", title=f"memory at {labels:,} labels")
    for name in ("entries", "bytes"):
        next(one for one in table.columns if one.header == name).justify = "right"
    for part in parts:
        shown = f"{'about ' if part.about else ''}{part.bytes:,}"
        table.add_row(part.name, part.setting, f"{part.entries:,}", shown)
    table.add_section()
    table.add_row("total", "", "", f"about {total:,}")
    Console(stderr=True, width=None if sys.stderr.isatty() else 120).print(table)


def catalogue() -> None:
    """Print the metric catalogue."""
    from stream.catalogue import CATALOGUE

    table = Table("metric", "kind", "unit", "labels", "meaning", "remedy")
    for one in CATALOGUE:
        table.add_row(one.name, one.kind, one.unit, ", ".join(one.labels), one.meaning, one.remedy)
    Console(width=None if sys.stdout.isatty() else 240).print(table)
