"""What the image does, without a container engine: another user, a root that nobody may write.

The image's entry point starts the service in a mount namespace of its own, in which the root is
read-only; there is one small file system in memory to write to. The user may read whatever there
is, as it may in the image, where files are everybody's to read.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
WARM = "from indexes import warm as index; from stream.learn import warmup; "
WARM += "index.warm(); warmup.warm()"
NOBODY = 65_534
INSIDE = """
set -eu
writable=$1; shift
mount -o remount,bind,ro /
mount -t tmpfs -o mode=1777,size=1g braid-test "$writable"
exec setpriv --reuid {user} --regid {user} --clear-groups --no-new-privs \\
    --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search \\
    --bounding-set=-all,+dac_read_search "$@"
"""


def may_isolate() -> bool:
    if shutil.which("setpriv") is None or shutil.which("unshare") is None:
        return False
    return (
        subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
    )


isolating = pytest.mark.skipif(not may_isolate(), reason="needs root, for a mount namespace")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kernels, compiled as the image compiles them; what the learner has is taken over."""
    folder = tmp_path_factory.mktemp("image") / "kernels"
    here = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    root = Path(here or Path.home() / ".cache")
    shutil.copytree(root / "braidstream", folder / "braidstream")
    environ = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    subprocess.run([sys.executable, "-c", WARM], env=environ, cwd=ROOT, check=True)
    return folder


def isolated(command: list[str], folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run as nobody, with nothing to write to but `folder`, which is empty."""
    folder.mkdir()
    inside = INSIDE.format(user=NOBODY)
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", inside, "sh", str(folder), *command],
        env={
            "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
            "TMPDIR": str(folder), "NUMBA_CACHE_DIR": str(folder / "kernels"), **environ,
        },
        cwd="/", capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@isolating
def test_nothing_can_be_written(tmp_path: Path) -> None:
    tried = f"id -u; touch /here {ROOT}/here /tmp/here; touch $TMPDIR/here && echo one"
    found = isolated(["sh", "-c", tried], tmp_path / "writable")
    assert found.stdout.split() == [str(NOBODY), "one"]
    assert found.stderr.count("touch: cannot touch") == 3


@isolating
def test_the_entry_point_runs_the_service(compiled: Path, tmp_path: Path) -> None:
    state = tmp_path / "writable" / "state"
    found = isolated(
        [str(ROOT / "deploy" / "entrypoint.sh"), "run", "--source", "synthetic", "--seconds", "5",
         "--set", "serve.port=0"], tmp_path / "writable",
        BRAID_COMPILED=str(compiled), BRAID_CHECKPOINT__FOLDER=str(state),
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert re.search(r"[1-9][\d,]* learnt, 0 dead letters", found.stdout)
    assert "not written" not in found.stderr


def test_the_image_is_of_another_user_and_does_what_was_run_here() -> None:
    text = DOCKERFILE.read_text()
    user = re.search(r"^USER (\d+):(\d+)$", text, re.MULTILINE)
    assert user is not None
    assert int(user[1]) > 999
    assert WARM in text.replace("\\\n", "")
    assert "COPY deploy/entrypoint.sh /opt/braid/bin/entrypoint" in text
    assert 'ENTRYPOINT ["entrypoint"]' in text
