"""Prometheus metrics of one service, in a registry of its own."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Sizes = dict[str, float]
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """What is counted.

    Args:
        sizes: gauges by name, read anew for every scrape; what cannot be read is left out of it.
    """

    def __init__(self, sizes: Callable[[], Sizes]) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Sizes(sizes))
        self._requests = Counter(
            "framecue_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "framecue_request_seconds", "Time to the whole answer.", ["route"], buckets=_BUCKETS, registry=self.registry
        )
        self._cache = Counter("framecue_cache", "Pictures and moments asked for.", ["result"], registry=self.registry)
        self._rejected = Counter("framecue_uploads_rejected", "Uploads refused.", ["reason"], registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """`route` is a template, never an address: there are few of them."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def cache(self, result: str) -> None:
        """ "hit" or "miss"."""
        self._cache.labels(result).inc()

    def upload_rejected(self, reason: str) -> None:
        self._rejected.labels(reason).inc()

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


class _Sizes(Collector):
    def __init__(self, sizes: Callable[[], Sizes]) -> None:
        self._sizes = sizes

    def collect(self) -> Iterator[Metric]:
        for name, value in self._sizes().items():
            yield GaugeMetricFamily(f"framecue_{name}", name.replace("_", " "), value=value)

    def describe(self) -> Iterator[Metric]:
        """Nothing is read when the collector is registered."""
        return iter(())
