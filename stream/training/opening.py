"""Which school a service has."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from stream.config import Settings
from stream.errors import MissingExtra
from stream.learn.encoder.recipe import Recipe
from stream.training.school import School


def school_of(settings: Settings, inline: bool = False) -> Callable[[int], School] | None:
    """What begins a school for dense rows of a length, 0 for sparse ones; None: none is wanted.

    Parameters
    ----------
    inline
        Train in the calling thread, so that the same events give the same encoder.

    Raises
    ------
    MissingExtra
        torch is not installed.
    """
    encoder = settings.encoder
    if not encoder.train or not settings.index.background:
        return None
    if find_spec("torch") is None:
        raise MissingExtra("an embedding that learns (encoder.train)", "encoder")
    recipe, seed = Recipe(dimension=settings.index.dimension), settings.learn.seed

    def process(width: int) -> School:
        from stream.training.beside import TrainingProcess

        kept = settings.checkpoint.folder
        folder = None if kept is None else kept / "challengers"
        return TrainingProcess(encoder, recipe, seed, width, folder)

    def here(width: int) -> School:
        from stream.learn.encoder.contest import Contest
        from stream.training.inline import InlineSchool

        memory, window = encoder.memory, encoder.window
        return InlineSchool(Contest(recipe, seed, memory, window, width, most=encoder.labels))

    return here if inline else process
