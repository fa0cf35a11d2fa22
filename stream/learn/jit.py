"""The one way in which kernels are compiled: cached on disk, without the GIL.

A kernel's state is a NamedTuple of arrays, so that it can be snapshot by name; a scalar that a
kernel changes is an element of an array.

numba's cache looks at the file of a kernel alone, not at the files of the kernels that it calls.
So the cache folder carries a hash of all of them: a changed source never meets old code.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numba

Kernel = Callable[..., Any]

# "nnan" and "ninf" stay off: guards against non-finite values must keep their meaning.
_FAST = {"reassoc", "contract", "arcp", "nsz"}
_KEPT = 4  # caches of other versions


def _cache_folder() -> Path | None:
    """Where compiled kernels go; None where nothing can be written."""
    digest = blake2b(numba.__version__.encode(), digest_size=8)
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    given = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    root = Path(given or Path.home() / ".cache") / "braidstream"
    folder = root / f"kernels-{digest.hexdigest()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return None
    with suppress(OSError):
        os.utime(folder)
        others = sorted(root.glob("kernels-*"), key=lambda path: path.stat().st_mtime)
        for old in others[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    return folder


_folder = _cache_folder()
if _folder is not None:
    numba.config.CACHE_DIR = str(_folder)


def kernel(function: Kernel) -> Kernel:
    """Compile with strict floating point: what decides order or equality."""
    compiled: Kernel = numba.njit(cache=_folder is not None, nogil=True, error_model="numpy")(
        function
    )
    return compiled


def fast_kernel(function: Kernel) -> Kernel:
    """Compile with sums free to be reordered, for speed: inner products and the like."""
    compiled: Kernel = numba.njit(
        cache=_folder is not None, nogil=True, error_model="numpy", fastmath=_FAST
    )(function)
    return compiled
