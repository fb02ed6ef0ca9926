"""Prometheus metrics of the whole installation, without names or ids of tenants.

Requests are counted in this process. Runs are counted in the metadata store, by whichever process executes them, and
read on each scrape: so the numbers are right for any number of workers and survive a restart.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client import start_http_server as serve
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from shoal.assemble import Services
from shoal.errors import ShoalError
from shoal.quantities import PICODOLLARS
from shoal.runs.states import RunStates
from shoal.storage.local.disk import Disk
from shoal.storage.protocols.maintenance import CounterReader, Journal

__all__ = ["Metrics", "serve_metrics"]

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The registry of this server's metrics."""

    def __init__(self, services: Services) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self._requests = Counter("shoal_http_requests_total", "Requests answered.", labels, registry=self.registry)
        self._durations = Histogram(
            "shoal_http_request_duration_seconds",
            "From the first byte of a request to the last of its answer.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        stores = services.stores
        journals = {"metadata": stores.metadata, "documents": stores.documents}
        self.registry.register(_Installation(services.disk, services.states, stores.metadata, journals))
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(method, route, str(status)).inc()
        self._durations.labels(method, route).observe(seconds)


class _Installation(Collector):
    """Metrics that are read from the stores and the disk on each scrape."""

    def __init__(self, disk: Disk, states: RunStates, counters: CounterReader, journals: Mapping[str, Journal]) -> None:
        self._space, self._states, self._counters, self._journals = disk, states, counters, journals

    def describe(self) -> Iterator[Metric]:
        return iter(())  # so that registering reads no store

    def collect(self) -> Iterator[Metric]:
        yield from self._disk_metrics()
        try:
            yield from self._queue_metrics()
            yield from self._run_metrics()
            yield _gauge("shoal_up", "Whether the metadata store answers.", 1)
        except ShoalError:
            yield _gauge("shoal_up", "Whether the metadata store answers.", 0)

    def _disk_metrics(self) -> Iterator[Metric]:
        try:
            space = self._space.space()
        except OSError:  # the other metrics matter now more than ever
            return
        yield _gauge("shoal_disk_free_bytes", "Free bytes of the data folder's disk.", space.free)
        yield _gauge("shoal_disk_usable_bytes", "Free bytes that new data may take.", space.usable)
        wal = GaugeMetricFamily("shoal_wal_bytes", "Bytes of write-ahead logs.", labels=["store"])
        for store, journal in self._journals.items():
            wal.add_metric([store], journal.journal_bytes())
        yield wal

    def _queue_metrics(self) -> Iterator[Metric]:
        waiting, oldest = self._states.waiting()
        yield _gauge("shoal_queue_depth", "Runs that wait for a worker.", waiting)
        yield _gauge("shoal_queue_oldest_age_seconds", "How long the oldest of them waits.", oldest)

    def _run_metrics(self) -> Iterator[Metric]:
        counters = self._counters.counters()
        runs = CounterMetricFamily("shoal_runs", "Runs that ended, by how.", labels=["status"])
        recoveries = CounterMetricFamily("shoal_recoveries", "Runs taken up again after a worker or process ended.")
        stages = SummaryMetricFamily(
            "shoal_stage_seconds", "Time that runs spent in a stage.", labels=["stage", "algorithm"]
        )
        model = _ModelMetrics()
        for (name, *labels), (count, total) in sorted(counters.items()):
            if name == "llm":
                model.add(labels, total)
            elif name == "runs":
                runs.add_metric(labels, count)
            elif name == "recoveries":
                recoveries.add_metric([], count)
            elif name == "stage":
                stages.add_metric(labels, count_value=count, sum_value=total)
        yield from (runs, recoveries, stages, *model.families())


class _ModelMetrics:
    """What names by language models took, by model."""

    def __init__(self) -> None:
        self._calls = CounterMetricFamily("shoal_llm_calls", "Requests to a language model.", labels=["model"])
        self._cached = CounterMetricFamily("shoal_llm_cached", "Answers that were at hand.", labels=["model"])
        self._failed = CounterMetricFamily("shoal_llm_failures", "Clusters it did not name.", labels=["model"])
        self._cost = CounterMetricFamily("shoal_llm_cost_dollars", "By Shoal's price table.", labels=["model"])
        self._tokens = CounterMetricFamily("shoal_llm_tokens", "As reported.", labels=["model", "kind"])

    def add(self, labels: Sequence[str], total: float) -> None:
        """Add a counter of `runs/models/spending.py`."""
        name, model = labels
        if name in ("input_tokens", "output_tokens"):
            self._tokens.add_metric([model, name.removesuffix("_tokens")], total)
        elif name == "picodollars":
            self._cost.add_metric([model], total / PICODOLLARS)
        else:
            {"calls": self._calls, "cached": self._cached, "failures": self._failed}[name].add_metric([model], total)

    def families(self) -> tuple[Metric, ...]:
        """Return all metrics."""
        return self._calls, self._cached, self._failed, self._cost, self._tokens


def _gauge(name: str, description: str, value: float) -> Metric:
    return GaugeMetricFamily(name, description, value=value)


def serve_metrics(metrics: Metrics, host: str, port: int) -> threading.Thread:
    """Serve GET /metrics on a separate port, in a thread. Raises OSError where the port is taken."""
    _, thread = serve(port, addr=host, registry=metrics.registry)
    return thread
