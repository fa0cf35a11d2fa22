"""The one way in which kernels are compiled: cached on disk, without the GIL.

A kernel's state is a NamedTuple of arrays, so that it can be snapshot by name; a scalar that a
kernel changes is an element of an array.

numba's cache looks at the file of a kernel alone, not at the files of the kernels that it calls.
So each module has a cache folder that carries a hash of its source and of every module with
kernels, or with what the learners share, that it imports: a changed source never meets old code,
and an unchanged one stays compiled.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numba

Kernel = Callable[..., Any]

# "nnan" and "ninf" stay off: guards against non-finite values must keep their meaning.
_FAST = {"reassoc", "contract", "arcp", "nsz"}
_KEPT = 4  # caches of other versions of a module
_PACKAGE = __name__.rpartition(".")[0]
_IMPORT = re.compile(rf"^from ({re.escape(_PACKAGE)}[\w.]*) import ([^(\n]*|\([^)]*\))", re.M)


def _file(module: str) -> Path | None:
    base = Path(__file__).parent.joinpath(*module.split(".")[_PACKAGE.count(".") + 1 :])
    found = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in found if path.exists()), None)


def _counts(module: str, source: bytes) -> bool:
    """Whether what kernels compute may depend on a module; settings and services are no part."""
    return module.startswith(f"{_PACKAGE}.learn.") or b"stream.jit import" in source


def sources(module: str) -> dict[str, bytes]:
    """The source of a module and of all that matters of what it imports, by module name."""
    found: dict[str, bytes] = {}
    open_ = [module]
    while open_:
        name = open_.pop()
        path = _file(name)
        if name in found or path is None:
            continue
        source = path.read_bytes()
        if not _counts(name, source):
            continue
        found[name] = source
        for parent, members in _IMPORT.findall(found[name].decode("utf-8")):
            open_ += [parent, *(f"{parent}.{one}" for one in re.findall(r"\w+", members))]
    return found


@cache
def _cache_folder(module: str) -> Path | None:
    """Where a module's compiled kernels go; None where nothing can be written."""
    digest = blake2b(numba.__version__.encode(), digest_size=8)
    for name, source in sorted(sources(module).items()):
        digest.update(name.encode() + source)
    given = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    root = Path(given or Path.home() / ".cache") / "braidstream" / "kernels" / module
    folder = root / digest.hexdigest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return None
    with suppress(OSError):
        os.utime(folder)
        others = sorted(root.iterdir(), key=lambda path: path.stat().st_mtime)
        for old in others[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    return folder


def _compile(function: Kernel, **options: Any) -> Kernel:
    folder, before = _cache_folder(function.__module__), numba.config.CACHE_DIR
    if folder is not None:
        numba.config.CACHE_DIR = str(folder)  # read while the function is wrapped
    try:
        wrap = numba.njit(cache=folder is not None, nogil=True, error_model="numpy", **options)
        compiled: Kernel = wrap(function)
    finally:
        numba.config.CACHE_DIR = before
    return compiled


def kernel(function: Kernel) -> Kernel:
    """Compile with strict floating point: what decides order or equality."""
    return _compile(function)


def fast_kernel(function: Kernel) -> Kernel:
    """Compile with sums free to be reordered, for speed: inner products and the like.

    A loop that both sums and stores is vectorised only where its arrays lie well apart in memory,
    so for short arrays its bits change from run to run: keep the two in loops of their own.
    """
    return _compile(function, fastmath=_FAST)
