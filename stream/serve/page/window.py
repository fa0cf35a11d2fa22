"""What the page shows, and who may look: made with the endpoint, before anybody asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stream.clock import Clock
from stream.config import Settings
from stream.metrics import Metrics
from stream.serve.access import Keys
from stream.serve.decode import Decoder
from stream.serve.page.history import History
from stream.serve.page.reading import reader
from stream.serve.page.tagging import Tagger
from stream.serve.page.treemap import Hierarchy
from stream.serve.view import ViewSource

_SCOPE = "predict"


@dataclass(frozen=True)
class Window:
    """All that the page needs of the service.

    Parameters
    ----------
    history, hierarchy, tagger
        Its parts.
    admits
        Whether a secret lets one look; counts refusals.
    asks
        Whether a token is asked for at all.
    """

    history: History
    hierarchy: Hierarchy
    tagger: Tagger
    admits: Callable[[str], bool]
    asks: bool


def window(
    settings: Settings, views: ViewSource, metrics: Metrics, elsewhere: Callable[[], bytes] | None,
    decoder: Decoder, keys: Keys | None, clock: Clock,
) -> Window:  # fmt: skip
    """Make it; see `stream.serve.app.create_app`."""

    def admits(secret: str) -> bool:
        if keys is None:
            return True
        token = keys.find(secret.strip().encode())
        if token is not None and token.covers(_SCOPE):
            return True
        reason = "unknown" if token is None else "scope"
        metrics.count("braid_http_refused_total", reason=reason)
        return False

    return Window(
        History(reader(metrics, elsewhere), views, clock),
        Hierarchy(views, clock),
        Tagger(views, decoder, settings.learn.top_k),
        admits,
        keys is not None,
    )
