"""The optional packages: imported where first used, with an error that says what to install."""

from __future__ import annotations

import importlib
from typing import Any


class ExtraNeeded(ImportError):
    """An optional package is missing.

    Attributes
    ----------
    extra : str
        The extra of braidstream that brings it: `cpu` or `gpu`.
    """

    def __init__(self, kind: str, package: str, extra: str) -> None:
        super().__init__(
            f"index {kind} needs {package}: install braidstream[{extra}]", name=package
        )
        self.extra = extra


class DeviceMissing(RuntimeError):
    """The packages are there, but no usable CUDA device is."""


class DeviceLost(RuntimeError):
    """A CUDA device that was there failed or ran out of memory; what was on it may be gone."""


# How torch and faiss, which raise plain RuntimeErrors for most of this, speak of a device.
_DEVICE_WORDS = ("cuda", "cublas", "out of memory", "gpuresources", "device-side")


def is_device_failure(error: BaseException) -> bool:
    """Whether an error that torch or faiss raised is about the device, not about the call."""
    if not isinstance(error, (RuntimeError, MemoryError)):
        return False
    said = f"{type(error).__name__}: {error}".lower()
    return any(word in said for word in _DEVICE_WORDS)


def faiss_for(kind: str) -> Any:
    """The faiss module; for `faiss_gpu` one that was built with GPU support.

    Raises
    ------
    ExtraNeeded
        faiss is not installed, or it is the build without GPU support.
    """
    extra = "gpu" if kind == "faiss_gpu" else "cpu"
    faiss = _import("faiss", kind, f"faiss-{extra}", extra)
    if extra == "gpu" and not hasattr(faiss, "StandardGpuResources"):
        raise ExtraNeeded(kind, "faiss-gpu in place of faiss-cpu", extra)
    return faiss


def torch_for(kind: str) -> Any:
    """The torch module.

    Raises
    ------
    ExtraNeeded
        torch is not installed.
    """
    return _import("torch", kind, "torch", "gpu")


def device_present() -> bool:
    """Whether the GPU index can run here: both packages, and a CUDA device that torch sees."""
    try:
        faiss = faiss_for("faiss_gpu")
        torch = torch_for("faiss_gpu")
    except ExtraNeeded:
        return False
    return bool(torch.cuda.is_available()) and int(faiss.get_num_gpus()) > 0


def _import(module: str, kind: str, package: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ExtraNeeded(kind, package, extra) from error
