"""Encoders by the names under which packages have registered them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

from stream.config import Encoder
from stream.encoders.base import GROUP, TextEncoder
from stream.encoders.guard import Guard
from stream.encoders.worker import unit
from stream.errors import BraidError, SettingError

_TRIED = ("a river\nthat braids", "")  # also takes the time that a first call needs
_WIDEST = 65_536


def known() -> list[str]:
    """Names of the encoders that are installed."""
    return sorted({found.name for found in entry_points(group=GROUP)})


@lru_cache(maxsize=2)
def load(name: str, model: str) -> TextEncoder:
    """The encoder of that name, made and tried; once a process.

    Raises
    ------
    SettingError
        There is none of that name, or it cannot be made of `model`.
    MissingExtra
        What it needs is not installed.
    """
    point = _one(name, list(entry_points(group=GROUP, name=name)))
    try:
        made: TextEncoder = point.load()(model)
        width = made.dimension
        if not (isinstance(width, int) and 0 < width <= _WIDEST):
            raise ValueError(f"its dimension is {width!r}")  # noqa: TRY301
        _, wrong = unit(made.embed(list(_TRIED)), len(_TRIED), width)
        if wrong:
            raise ValueError(wrong)  # noqa: TRY301
    except BraidError:
        raise
    except Exception as error:
        instead = f"the encoder could not be made ({type(error).__name__}: {error})"
        raise SettingError("encoder.plugin", name, instead) from error
    return made


def guarded(settings: Encoder) -> Guard | None:
    """The encoder that the settings name, behind a guard of its own; None where they name none."""
    if not settings.plugin:
        return None
    return Guard(load(settings.plugin, settings.model), settings)


def _one(name: str, found: Sequence[EntryPoint]) -> EntryPoint:
    if not found:
        have = ", ".join(known()) or "none, install one"
        raise SettingError("encoder.plugin", name, f"name one that is installed: {have}")
    if len({point.value for point in found}) > 1:
        homes = ", ".join(sorted(point.value for point in found))
        raise SettingError("encoder.plugin", name, f"uninstall all but one of that name: {homes}")
    return found[0]
