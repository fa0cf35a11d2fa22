"""What a plugged encoder is asked for, and what is not promised to it.

A package registers a factory under a name of its own in the entry point group
`braidstream.encoders`. It is called once a process with `encoder.model`, and may raise: the start
is refused then. `encoder.plugin` names the one that is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from stream.types import Float32

GROUP = "braidstream.encoders"


@runtime_checkable
class TextEncoder(Protocol):
    """Turns texts into vectors by which labels are found.

    Calls come one at a time, never two at once, but not from the thread that made it. Each has
    `encoder.timeout_ms`; one that is late goes on to its end, and what it gives is thrown away.
    An encoder learns nothing between calls: prototypes of labels are sums of its vectors over the
    life of the model.
    """

    @property
    def dimension(self) -> int:
        """Width of the vectors; the same for life."""
        ...

    def embed(self, texts: Sequence[str]) -> Float32:
        """Vectors (n, dimension) float32 of n texts, in their order.

        The vector of a text is the same, but for rounding, whenever it is asked for and whatever
        else is asked for with it. Texts are valid Unicode, up to `encoder.characters` long, and
        may be empty. Vectors may have any length but 0; their direction alone counts. A row that
        is not finite says that this text has none; the others of the batch are used.

        Raises
        ------
        Exception
            Any; the whole batch is then without vectors.
        """
        ...
