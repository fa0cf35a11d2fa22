"""Tags the text that a person typed, with the reasons; one text at a time, off the event loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from stream.errors import Overloaded
from stream.serve.decode import Decoder
from stream.serve.view import Exemplar, Reasons, ViewSource
from stream.types import Example, Scored

MOST_CHARACTERS = 20_000
_WAITING = 16


@dataclass(frozen=True)
class Tagged:
    """The tags of a text, those that were chosen, and why."""

    top: tuple[Scored, ...]
    chosen: frozenset[str]
    reasons: dict[str, Reasons]
    exemplars: tuple[Exemplar, ...]
    position: int


class Tagger:
    """Answers the page's box from the newest view.

    Parameters
    ----------
    views
        Where the view comes from.
    decoder
        Holds texts to the limits that hold for all events.
    k
        Tags of a text.
    """

    def __init__(self, views: ViewSource, decoder: Decoder, k: int) -> None:
        self._views = views
        self._decoder = decoder
        self._k = k
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def tag(self, text: str) -> Tagged:
        """Tag a text.

        Raises
        ------
        Overloaded
            Too many wait.
        BraidError
            The text does not fit, or there is no model yet.
        """
        (example,) = self._decoder.questions([{"text": text[:MOST_CHARACTERS]}])
        if self._waiting >= _WAITING:
            raise Overloaded(f"{self._waiting} texts wait already")
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(self._work, example)
        finally:
            self._waiting -= 1

    def _work(self, example: Example) -> Tagged:
        view = self._views.current()
        (found,) = view.predict([example], self._k)
        why = view.explain(example, [one.label for one in found.top])
        return Tagged(
            found.top, frozenset(found.chosen), {one.label: one for one in why.labels},
            why.exemplars, found.position,
        )  # fmt: skip
