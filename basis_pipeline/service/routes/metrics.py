"""Metrics for Prometheus."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from fastapi import Response
from prometheus_client import CONTENT_TYPE_LATEST, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from basis_pipeline.errors import BasisError
from basis_pipeline.operations.control import State, read_state
from basis_pipeline.operations.requests.queue import counts
from basis_pipeline.service.context import Context, Shared
from basis_pipeline.service.routes import router
from basis_pipeline.service.routes.accounts import overview

# They would add a series to each counter that nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]
routes = router("metrics")


@routes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(context: Shared) -> Response:
    """Return the metrics of service and pipeline in Prometheus's text format."""
    return Response(generate_latest(context.registry), media_type=CONTENT_TYPE_LATEST)


class PipelineMetrics:
    """Metrics of the pipeline, read at each scrape."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def describe(self) -> Iterator[Metric]:
        """Yield nothing, so that the registration reads no metrics."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """Read the snapshot, the queue and the state of emergency control."""
        part = self._context.part
        yield _gauge("basis_pipeline_runs", "Pipeline runs", ("state",), part("runs"))
        gates = Counter((str(gate["phase"]), gate["status"]) for gate in part("gates"))
        yield _gauge("basis_gates", "Gates by phase and verdict", ("phase", "verdict"), gates)
        now = datetime.now(UTC)
        ages = {
            name: (now - datetime.fromisoformat(at)).total_seconds()
            for name, at in part("feeds").items()
        }
        yield _gauge("basis_feed_age_seconds", "Seconds since a feed was read", ("feed",), ages)
        components = part("health")["components"]
        statuses = {c["name"]: float(c["status"] == "healthy") for c in components}
        yield _gauge("basis_component_healthy", "1 when healthy", ("component",), statuses)
        accounts = overview(self._context)
        for name, what, key in (
            ("basis_account_equity", "Equity of an account at its last hour", "equity"),
            ("basis_account_apy", "APY of an account's leg, 0.1 is 10 %", "apy"),
        ):
            values = {a["account"]: a[key] for a in accounts if a[key] is not None}
            yield _gauge(name, what, ("account",), values)
        try:
            queued = {str(s): float(count) for s, count in counts(self._context.settings).items()}
            state = read_state(self._context.settings).name
        except BasisError:
            yield _gauge("basis_results_store_up", "1 when it can be read", (), {(): 0.0})
            return
        yield _gauge("basis_results_store_up", "1 when it can be read", (), {(): 1.0})
        yield _gauge("basis_backtest_requests", "Requests by state", ("state",), queued)
        states = {name.value: float(name is state) for name in State}
        yield _gauge("basis_control_state", "1 for the current state", ("state",), states)


def _gauge(name: str, what: str, labels: tuple[str, ...], values: Any) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, what, labels=labels)
    for key, value in values.items():
        family.add_metric(key if isinstance(key, tuple) else (key,), value)
    return family
