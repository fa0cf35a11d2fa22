"""Where the log of a service goes."""

from __future__ import annotations

import faulthandler
import logging
import sys

_CHATTY = {"kafka": logging.ERROR, "faiss": logging.WARNING}


def to_stderr() -> None:
    """Log to stderr from now on; on SIGABRT also where every thread is."""
    faulthandler.enable()
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    for name, level in _CHATTY.items():
        logging.getLogger(name).setLevel(level)
