"""The command line. Heavy modules are imported by the command that needs them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="braid",
    help="Streaming extreme multi-label classification: events in, tags out, learning as it goes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
topics_app = typer.Typer(help="The topics in Kafka.", no_args_is_help=True)
app.add_typer(topics_app, name="topics")

Config = Annotated[
    Path | None, typer.Option("--config", help="A TOML file with a table per section.")
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="One setting, such as learn.top_k=5."),
]

HERE = "http://localhost:8080"
Url = Annotated[str, typer.Option(help="Of the service's endpoint.")]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="BRAID_TOKEN",
        help="With the scope admin, where the service asks for one; rather in the environment.",
    ),
]


@app.command()
def run(
    source: Annotated[
        str, typer.Option(help="kafka, synthetic, synthetic:LABELS, a folder, or a JSONL file.")
    ] = "kafka",
    seconds: Annotated[float, typer.Option(help="End after so many seconds; 0 for never.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="Write what would be published to this JSONL file.")
    ] = None,
    text: Annotated[bool, typer.Option(help="Of a folder, read texts rather than X.npz.")] = False,
    config: Config = None,
    sets: Sets = None,
) -> None:
    """Run the service: read events, tag them, learn, publish, and answer HTTP.

    Example: braid run --set kafka.group=news --set checkpoint.folder=/var/lib/braid
    """
    from stream import logs
    from stream.checkpoint import opened

    settings = _settings(config, sets)
    logs.to_stderr(settings.log)
    store = opened(settings.checkpoint)
    if store is not None:
        store.begin()  # it is read beside the imports and the loading of the kernels
    from stream.service import Local, serve_stream

    local = None if source == "kafka" else Local(source, output, text)
    sys.exit(serve_stream(settings, store, local, seconds))


@app.command()
def serve(config: Config = None, sets: Sets = None) -> None:
    """Answer HTTP from the newest snapshot, without a stream and without learning.

    Example: braid serve --set checkpoint.folder=/var/lib/braid
    """
    from stream import logs
    from stream.service import serve_snapshot

    settings = _settings(config, sets)
    logs.to_stderr(settings.log)
    sys.exit(serve_snapshot(settings))


@app.command()
def replay(
    path: Annotated[Path, typer.Argument(help="An evaluation folder, or a JSONL file of events.")],
    rate: Annotated[float, typer.Option(help="Events a second at most; 0 for all speed.")] = 0,
    limit: Annotated[int, typer.Option(help="Events at most; 0 for all.")] = 0,
    text: Annotated[bool, typer.Option(help="Of a folder, send texts rather than X.npz.")] = False,
    config: Config = None,
    sets: Sets = None,
) -> None:
    """Produce a folder or a JSONL file to the events topic.

    Example: braid replay events.jsonl --rate 500
    """
    from stream.tools import replay as send

    sys.exit(send(_settings(config, sets), path, rate, limit, text))


@app.command()
def evaluate(
    folders: Annotated[list[Path], typer.Argument(help="Evaluation folders.")],
    limit: Annotated[int, typer.Option(help="Events at most of each; 0 for all.")] = 0,
    objective: Annotated[
        str | None,
        typer.Option(
            help="micro_f1, macro_f1, hamming or subset; short for --set learn.objective=…"
        ),
    ] = None,
    text: Annotated[bool, typer.Option(help="Read texts rather than X.npz.")] = False,
    label_names: Annotated[
        str | None, typer.Option(help="Give the model label names: seen (so far), or all.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One object a line on stdout.")] = False,
    config: Config = None,
    sets: Sets = None,
) -> None:
    """Score prequentially: each event is predicted, scored, then learnt.

    Example: braid evaluate data/yeast data/enron --json
    """
    from stream.tools import evaluate as score

    if objective is not None:
        sets = [*(sets or []), f"learn.objective={objective}"]
    if label_names not in {None, "seen", "all"}:
        _fail(f"--label-names={label_names!r} cannot work: write seen or all")
    sys.exit(score(_settings(config, sets), folders, limit, text, label_names, json))


@topics_app.command("create")
def topics_create(
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of the events topic.")] = 4,
    replication: Annotated[int, typer.Option(min=1, help="Replicas of each partition.")] = 1,
    config: Config = None,
    sets: Sets = None,
) -> None:
    """Make the five topics; those that are there stay as they are.

    Example: braid topics create --partitions 8 --replication 3
    """
    from stream.tools import make_topics

    sys.exit(make_topics(_settings(config, sets), partitions, replication))


@app.command("check-config")
def check_config(
    labels: Annotated[int, typer.Option(min=1, help="Labels to plan the memory for.")] = 1_000_000,
    width: Annotated[
        int, typer.Option(min=0, help="Length of the vectors of events; 0 for text and features.")
    ] = 0,
    config: Config = None,
    sets: Sets = None,
) -> None:
    """Check all settings; print those in force, secrets left out, and the memory they will take.

    Settings and memory are JSON on stdout, the memory is a table on stderr too.

    Example: BRAID_KAFKA__GROUP=news braid check-config --labels 1000000
    """
    from stream.errors import SettingError
    from stream.tools import check

    try:
        check(_settings(config, sets), labels, width)
    except SettingError as error:
        _fail(str(error))


@app.command()
def inspect(
    folder: Annotated[Path, typer.Argument(help="A snapshot, or the folder of snapshots.")],
) -> None:
    """Show what a snapshot holds: positions, sizes, labels, arrays.

    Example: braid inspect /var/lib/braid
    """
    from stream.tools import inspect as look

    sys.exit(look(folder))


@app.command()
def rollback(url: Url = HERE, token: Token = None) -> None:
    """Let a running service go back to the generation of its index before, and train no more.

    Example: braid rollback --url http://localhost:8080
    """
    from stream.client import Client

    with Client(url, token, retries=0) as client:
        now, to = client.roll_back()
    typer.echo(f"braid: from generation {now} back to {to}, once its index is filled")


@app.command()
def resume(url: Url = HERE, token: Token = None) -> None:
    """Let a running service train its embedding again, after a rollback.

    Example: braid resume --url http://localhost:8080
    """
    from stream.client import Client

    with Client(url, token, retries=0) as client:
        client.resume()
    typer.echo("braid: the embedding is trained again")


@app.command()
def metrics() -> None:
    """Print the metric catalogue: name, unit, meaning, and what to do.

    Example: braid metrics
    """
    from stream.tools import catalogue

    catalogue()


def _settings(config: Path | None, sets: list[str] | None) -> Any:
    from stream.config import load
    from stream.errors import SettingError

    try:
        return load(config, overrides=sets or [])
    except SettingError as error:
        _fail(str(error))


def _fail(message: str) -> None:
    typer.echo(f"braid: {message}", err=True)
    raise typer.Exit(2)


def main() -> None:
    """Entry point; errors that we raise on purpose are one line, not a trace."""
    from stream.errors import BraidError

    try:
        app()
    except BraidError as error:
        text = str(error)
        if error.remedy and error.remedy not in text:
            text += f"; {error.remedy}"
        typer.echo(f"braid: {text}", err=True)
        sys.exit(1)
