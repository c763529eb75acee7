"""`/healthz` and `/metrics` for monitoring. They contain only numbers, so they need no sign-in."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from flowhub_jobs import __version__
from flowhub_jobs.operations.changes import position_now
from flowhub_jobs.operations.metrics import Metrics, read_metrics
from flowhub_jobs.web.call import Call, JSONResponse, endpoint


def healthz(call: Call) -> Response:
    """Answer 200 if the database can be read; else its error is answered, with 500 or 503."""
    position_now(call.context.home)
    return JSONResponse({"status": "ok", "version": __version__})


def metrics(call: Call) -> Response:
    registry = CollectorRegistry()
    registry.register(_Figures(read_metrics(call.session)))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Figures(Collector):
    """The figures of one moment. Names and units follow Prometheus' conventions (base units, `_total` for counters)."""

    def __init__(self, figures: Metrics) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        figures = self._figures
        yield _by_label(
            GaugeMetricFamily("flowhub_jobs", "Jobs of this node, by state.", labels=["state"]), figures.jobs
        )
        yield CounterMetricFamily("flowhub_fetched_bytes", "Bytes fetched over the network.", value=figures.fetched)
        yield _by_label(
            CounterMetricFamily("flowhub_errors", "Faults that jobs met, by error code.", labels=["code"]),
            figures.errors,
        )
        yield CounterMetricFamily("flowhub_stalls", "Transfers that stalled or were too slow.", value=figures.stalls)
        gauges = {
            "flowhub_download_rate_bytes_per_second": ("Speed of all running jobs together.", figures.rate_bps),
            "flowhub_installed_models": ("Installed models.", figures.models),
            "flowhub_installed_bytes": ("Size of the installed models.", figures.installed),
            "flowhub_workers": ("Workers that are alive.", figures.workers),
            "flowhub_heartbeat_age_seconds": (
                "Time since the last heartbeat of the worker that was silent longest.",
                figures.heartbeat_age_s,
            ),
        }
        for name, (text, value) in gauges.items():
            if value is not None:
                yield GaugeMetricFamily(name, text, value=value)
        promised, free = ([getattr(disk, figure) for disk in figures.disks] for figure in ("promised", "free"))
        yield from _by_disk("flowhub_disk_promised_bytes", "Disk space that the queue still needs.", promised)
        yield from _by_disk("flowhub_disk_free_bytes", "Free space of the store's disk.", free)


def _by_disk(name: str, text: str, values: Sequence[int | None]) -> Iterator[Metric]:
    """Yield a figure for each disk that holds stores. If there are several, the label `disk` numbers them from 1."""
    if len(values) < 2:
        yield from (GaugeMetricFamily(name, text, value=value) for value in values if value is not None)
        return
    family = GaugeMetricFamily(name, text, labels=["disk"])
    yield _by_label(family, {str(number): value for number, value in enumerate(values, 1) if value is not None})


def _by_label(family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[str, int]) -> Metric:
    for label, value in values.items():
        family.add_metric([label], value)
    return family


ROUTES: list[BaseRoute] = [
    Route("/healthz", endpoint(healthz), methods=["GET"]),
    Route("/metrics", endpoint(metrics), methods=["GET"]),
]
