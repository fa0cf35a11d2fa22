"""The metrics of the catalogue, counted and shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client import Metric as Family

from stream.catalogue import CATALOGUE, Metric

_HTTP = "braid_http_"


class Metrics:
    """The catalogue's metrics in one registry.

    Parameters
    ----------
    registry
        Where they are registered; a new one by default, so that tests do not share.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self._made: dict[str, Counter | Gauge | Histogram] = {}
        for metric in CATALOGUE:
            self._made[metric.name] = self._make(metric)

    def _make(self, metric: Metric) -> Counter | Gauge | Histogram:
        text = f"{metric.meaning} Unit: {metric.unit}."
        if metric.kind == "counter":
            made = Counter(metric.name, text, metric.labels, registry=self.registry)
            for value in metric.values:
                made.labels(value)
            return made
        if metric.kind == "gauge":
            return Gauge(metric.name, text, metric.labels, registry=self.registry)
        return Histogram(
            metric.name, text, metric.labels, registry=self.registry, buckets=metric.buckets
        )

    def exposition(self, http: bool) -> bytes:
        """The endpoint's own metrics in Prometheus' text format, or all others."""
        return b"".join(
            generate_latest(made)
            for name, made in self._made.items()
            if name.startswith(_HTTP) == http
        )

    def families(self, names: Iterable[str]) -> Iterator[Family]:
        """What these metrics hold now."""
        for name in names:
            yield from self._made[name].collect()

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        made = self._made[name]
        assert isinstance(made, Counter)
        (made.labels(**labels) if labels else made).inc(amount)

    def reach(self, name: str, total: float) -> None:
        """Let a counter stand at what is counted elsewhere; it begins anew where that does."""
        made = self._made[name]
        assert isinstance(made, Counter)
        now = next(iter(made.collect())).samples[0].value
        if total < now:
            made.reset()
            now = 0
        made.inc(total - now)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        made = self._made[name]
        assert isinstance(made, Gauge)
        (made.labels(**labels) if labels else made).set(value)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add to a histogram."""
        made = self._made[name]
        assert isinstance(made, Histogram)
        (made.labels(**labels) if labels else made).observe(value)
