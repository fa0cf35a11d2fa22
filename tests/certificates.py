"""Certificates for 127.0.0.1 that sign themselves, made by openssl where a test runs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def certificate(folder: Path, name: str, *locked: str) -> tuple[Path, Path]:
    """PEM files of a certificate and its key; `locked` are openssl's words for a password."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificates of these tests, and is not here")
    made, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "2", *(locked or ("-nodes",)),
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-out", made, "-keyout", key],
        check=True, capture_output=True,
    )  # fmt: skip
    return made, key
