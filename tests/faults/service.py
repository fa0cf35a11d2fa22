"""A service that something starts again whenever it ends, as a deployment does."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-c", "from stream.cli import main; main()", "run"]
PAUSE_S = 0.5


class Service:
    """Keeps a process alive until `stop`.

    Parameters
    ----------
    environ
        Of the process.
    log
        Where its output goes.
    """

    def __init__(self, environ: dict[str, str], log: Path) -> None:
        self.ends: list[int] = []
        self._environ = environ
        self._log = log
        self._stopping = threading.Event()
        self._process = self._launch()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal: SIGKILL, SIGSTOP, SIGCONT."""
        self._process.send_signal(number)

    def working(self) -> bool:
        """Whether its present life has come as far as to count events."""
        return b" events " in self._log.read_bytes()[self._begun :]

    def resident(self) -> int:
        """Bytes of its memory that are resident."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1_024

    def stop(self) -> int:
        """Stop it in order; its exit status."""
        self._stopping.set()
        self._process.send_signal(signal.SIGTERM)
        self._thread.join(90)
        self._process.kill()
        return self._process.wait()

    def _launch(self) -> subprocess.Popen[Any]:
        with self._log.open("ab") as log:
            self._begun = log.tell()
            return subprocess.Popen(COMMAND, env=self._environ, stdout=log, stderr=log)

    def _keep(self) -> None:
        while True:
            ended = self._process.wait()
            if self._stopping.is_set():
                return
            self.ends.append(ended)
            time.sleep(PAUSE_S)
            self._process = self._launch()
