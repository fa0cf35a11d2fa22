"""The broker's jars, fetched once by Maven.

Into `.cache/kafka` under the repository root, or into the folder that BRAID_KAFKA_JARS names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class LaunchError(RuntimeError):
    """The broker could not be fetched or started; the message says what to do."""


def missing() -> str | None:
    """What this machine lacks to run a broker, or None."""
    lacking = [name for name in ("java", "mvn") if shutil.which(name) is None]
    if "mvn" in lacking and _jars_there(jars_folder()):
        lacking.remove("mvn")
    return f"{' and '.join(lacking)} not found (Java 17 and Maven are needed)" if lacking else None


def jars_folder() -> Path:
    """Where the jars are, or will be put."""
    return Path(os.environ.get("BRAID_KAFKA_JARS") or ROOT / ".cache" / "kafka")


def fetch_jars() -> Path:
    """The folder with the jars, fetched by Maven unless they are there."""
    folder = jars_folder()
    if _jars_there(folder):
        return folder
    if (lacks := missing()) is not None:
        raise LaunchError(lacks)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside, then renamed: a fetch that was cut off must not look complete.
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
        fetched = Path(beside) / "jars"
        command = ["mvn", "-B", "-q", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
        command += ["-DincludeScope=runtime", f"-DoutputDirectory={fetched}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not any(fetched.glob("kafka_*.jar")):
            raise LaunchError(f"Maven could not fetch the broker:\n{done.stdout}{done.stderr}")
        shutil.copy(HERE / "pom.xml", fetched / "pom.xml")
        shutil.rmtree(folder, ignore_errors=True)
        fetched.rename(folder)
    return folder


def _jars_there(folder: Path) -> bool:
    pom = folder / "pom.xml"  # written last; another version of it means other jars
    return pom.is_file() and pom.read_bytes() == (HERE / "pom.xml").read_bytes()
