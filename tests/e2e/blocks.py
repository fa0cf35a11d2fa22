"""Fenced blocks of a Markdown page, and how to run them as a reader would.

`console` blocks hold commands after `$ ` and lines that must come, in order; numbers may differ. A
second word says more: `service` stays in the foreground of a terminal of its own, `kafka` is the
broker that the tests have anyway, `stopped` comes after Ctrl-C in the service's terminal. `python`
blocks are programs; a `text` block right behind one is what it prints. `toml` is a file of the
name behind it. `json` and `text` are not run.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

RUN = {"console", "python", "toml"}
LANGUAGES = RUN | {"json", "text"}
_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.M | re.S)
_NUMBER = re.compile(r"\d[\d,.]*(?:e-\d+)?")
_PATIENCE_S = 120


@dataclass(frozen=True)
class Block:
    """A block: its language, the word behind it, what is in it, its line on the page."""

    language: str
    role: str
    body: str
    line: int
    expected: str = ""

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """Of a console: each command with the lines that are to come."""
        found: list[tuple[str, list[str]]] = []
        for line in self.body.replace("\\\n", "").splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
        return found


def blocks(text: str) -> list[Block]:
    """All blocks of a page; a `text` right behind `python` is part of it."""
    made: list[Block] = []
    end = -1
    for found in _FENCE.finditer(text):
        language, _, role = found[1].partition(" ")
        line = text.count("\n", 0, found.start()) + 1
        near = not text[end : found.start()].strip() if made else False
        if language == "text" and near and made[-1].language == "python":
            last = made.pop()
            made.append(Block(last.language, last.role, last.body, last.line, found[2]))
        else:
            made.append(Block(language, role, found[2], line))
        end = found.end()
    return made


class Reader:
    """Does what a page says, in a folder of its own; use it as a context manager.

    Parameters
    ----------
    folder
        Where it works.
    page
        The name of the page, for what is said of a failure.
    instead
        What stands for what in commands and output, such as the port of a service.
    environ
        More of the environment.
    """

    def __init__(
        self, folder: Path, page: str, instead: Mapping[str, str], environ: Mapping[str, str]
    ) -> None:
        self._folder, self._page, self._instead = folder, page, dict(instead)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        clean = {name: word for name, word in os.environ.items() if not name.startswith("BRAID_")}
        self._environ = {**clean, "PATH": path, "COLUMNS": "200", **environ}
        self._services: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for service in self._services:
            service.kill()
            service.wait()

    def do(self, block: Block) -> None:
        """Run a block; what is not there fails with its line on the page."""
        where = f"{self._page}:{block.line}"
        if block.language == "python":
            said = self._run([sys.executable, "-c", self._put(block.body)], where)
            expect(self._put(block.expected).splitlines(), said, where)
        elif block.language == "toml":
            (self._folder / block.role).write_text(block.body)
        elif block.role == "service":
            ((command, lines),) = block.commands
            self._start(self._put(command), [self._put(line) for line in lines], where)
        elif block.language == "console" and block.role != "kafka":
            if block.role == "stopped":
                self.stop()
            for command, lines in block.commands:
                self._command(self._put(command), [self._put(line) for line in lines], where)

    def stop(self) -> None:
        """Ctrl-C in the services' terminals; each must end in order."""
        while self._services:
            service = self._services.pop()
            service.send_signal(signal.SIGINT)
            assert service.wait(_PATIENCE_S) == 0

    def _put(self, text: str) -> str:
        for old, new in self._instead.items():
            text = text.replace(old, new)
        return text

    def _command(self, command: str, lines: list[str], where: str) -> None:
        if command.startswith("export "):
            name, _, word = shlex.split(command)[1].partition("=")
            self._environ[name] = word
            return
        said = self._run(["bash", "-o", "pipefail", "-c", command], where)
        expect(lines, said, where)

    def _run(self, command: list[str], where: str) -> str:
        done = subprocess.run(
            command, cwd=self._folder, env=self._environ, capture_output=True, text=True,
            timeout=_PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{where}: {command[-1]}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def _start(self, command: str, lines: list[str], where: str) -> None:
        log = self._folder / f"service-{len(self._services)}.log"
        with log.open("wb") as out:
            self._services.append(
                subprocess.Popen(
                    ["bash", "-c", f"exec {command}"], cwd=self._folder, env=self._environ,
                    stdout=out, stderr=subprocess.STDOUT,
                )
            )  # fmt: skip
        end = time.monotonic() + _PATIENCE_S
        while missing(lines, log.read_text()) is not None:
            ended = self._services[-1].poll() is not None
            assert not ended, f"{where}: ended\n{log.read_text()}"
            assert time.monotonic() < end, f"{where}: not ready\n{log.read_text()}"
            time.sleep(0.1)


def missing(lines: list[str], said: str) -> str | None:
    """The first line that did not come after those before it; any number stands for a number."""
    at = 0
    for line in filter(str.strip, lines):
        parts = [re.escape(part) for part in _NUMBER.split(line)]
        found = re.compile(_NUMBER.pattern.join(parts)).search(said, at)
        if found is None:
            return line
        at = found.end()
    return None


def expect(lines: list[str], said: str, where: str) -> None:
    """Fail where a line is missing from what was said."""
    line = missing(lines, said)
    assert line is None, f"{where}: no line {line!r} in\n{said}"
