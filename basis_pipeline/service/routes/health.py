"""Health: liveness and readiness of the service, components, and latencies."""

import time
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median
from typing import Annotated, Any

import numpy as np
from fastapi import Query, Request, Response

from basis_pipeline.errors import BasisError, CommandError
from basis_pipeline.operations.control import read_state
from basis_pipeline.operations.control.state import UNREACHABLE
from basis_pipeline.service.answers import answer
from basis_pipeline.service.context import AT, Context, Shared
from basis_pipeline.service.forms import LatencyFilters, ServiceName
from basis_pipeline.service.routes import router
from basis_pipeline.times import parse_since

routes = router("health")
# A status has three values, "degraded" for all others; the exact state is in the metadata.
WORDS = {"healthy": "healthy", "unhealthy": "unhealthy"}
VERSION = version("basis-pipeline")  # read once, because it parses a file
STEADY = 0.1  # a smaller relative change of the median is no trend


@routes.get("/health")
async def alive(request: Request) -> Response:
    """Say that the service is alive."""
    return answer(request, {"status": "alive", "version": VERSION})


@routes.get("/health/ready")
def ready(request: Request, context: Shared) -> Response:
    """Say whether the service is ready: it can read the store and has a snapshot."""
    checks = {"results_store": "ready", "snapshot": "ready"}
    try:
        # The last known state stands in for the one of a server that is down.
        if read_state(context.settings).confirmed_at:
            checks["results_store"] = UNREACHABLE
    except BasisError as error:
        checks["results_store"] = error.code
    if not context.has_snapshot:
        checks["snapshot"] = "not collected yet"
    is_ready = set(checks.values()) == {"ready"}
    return answer(request, {"ready": is_ready, "checks": checks}, 200 if is_ready else 503)


@routes.get("/health/services")
def services(request: Request, context: Shared) -> Response:
    """List every component with its dependants, the worst first, and a summary."""
    return answer(request, health_document(context))


@routes.post("/health/services")
def check_now(request: Request, context: Shared, body: ServiceName) -> Response:
    """Check every component now, and show one with its dependants."""
    context.collect()
    found = {service["service"]: service for service in health_document(context)["services"]}
    if body.service not in found:
        what = f"there is no component {body.service!r}"
        raise CommandError("API-004", what, available=", ".join(found))
    return answer(request, found[body.service])


@routes.get("/health/latency")
def latency(
    request: Request, context: Shared, filters: Annotated[LatencyFilters, Query()]
) -> Response:
    """Show the latency of the operations of pipeline runs in a window, in seconds."""
    return answer(
        request, {"window": filters.window, "operations": latencies(context, filters.window)}
    )


def health_document(context: Context) -> dict[str, Any]:
    """Return the overall status, the number of components by status, and the components."""
    report = context.part("health")
    found = [_service(component, report["at"]) for component in report["components"]]
    found += _own(context)
    order = {word: place for place, word in enumerate(("unhealthy", "degraded", "healthy"))}
    found.sort(key=lambda service: order[service["status"]])
    statuses = [service["status"] for service in found]
    summary = {word: statuses.count(word) for word in order}
    return {"status": statuses[0], "summary": summary, "at": report["at"], "services": found}


def _service(component: dict[str, Any], at: str) -> dict[str, Any]:
    state = component["status"]
    # A component that is not ready recovers by itself, unless it stops others or is affected.
    is_stopped = state == "not ready" and bool(component["stops"] or component["affected_by"])
    return {
        "service": component["name"],
        "status": "unhealthy" if is_stopped else WORDS.get(state, "degraded"),
        "latency_ms": component["latency_ms"],
        "last_check": at,
        "details": component["message"],
        "metadata": {
            "state": state,
            "code": component["code"],
            "action": component["action"],
            "affected_by": component["affected_by"],
            "dependants": component["dependants"],
        },
    }


def _own(context: Context) -> list[dict[str, Any]]:
    """Return the service itself, and the Redis server where one is configured."""
    began = time.perf_counter()
    context.state.get("ping")
    taken = round(1000.0 * (time.perf_counter() - began), 3)
    now, is_degraded = datetime.now(UTC).isoformat(), context.state.is_degraded
    up = f"since {context.started_at:%Y-%m-%d %H:%M:%S} UTC"
    rows: list[tuple[str, bool, float, str, list[str]]] = [("api", False, 0.0, up, [])]
    if context.state.is_shared:
        message = "unreachable: state is kept in memory" if is_degraded else "answers"
        rows.append(("redis", is_degraded, taken, message, ["api"]))
    return [
        {
            "service": name,
            "status": "degraded" if degraded else "healthy",
            "latency_ms": milliseconds,
            "last_check": now,
            "details": message,
            "metadata": {"affected_by": [], "dependants": dependants},
        }
        for name, degraded, milliseconds, message, dependants in rows
    ]


def latencies(context: Context, window: str) -> list[dict[str, Any]]:
    """Return the latency of each operation in a window before the snapshot, the slowest first.

    trend: up or down where the median of the later half differs by more than 10 %.
    """
    found: list[dict[str, Any]] = context.derived(
        f"latencies:{window}",
        lambda: _latencies(context.part("steps"), context.part(AT), window),
    )
    return found


def _latencies(every: list[dict[str, Any]], at: str, window: str) -> list[dict[str, Any]]:
    since = parse_since(window, datetime.fromisoformat(at)).timestamp()
    steps: dict[str, list[dict[str, Any]]] = {}
    for step in every:
        if step["ended_at"] >= since:
            steps.setdefault(step["operation"], []).append(step)
    found = []
    for operation, own in steps.items():
        own.sort(key=lambda step: step["ended_at"])
        seconds = [step["seconds"] for step in own]
        p50, p95, p99 = (round(float(p), 4) for p in np.percentile(seconds, (50, 95, 99)))
        failed = sum(step["failed"] for step in own)
        entry = {"operation": operation, "count": len(own), "p50": p50, "p95": p95, "p99": p99}
        found.append(entry | {"error_rate": failed / len(own), "trend": _trend(seconds)})
    return sorted(found, key=lambda entry: -entry["p95"])


def _trend(seconds: list[float]) -> str:
    half = len(seconds) // 2
    if half < 2:
        return "unknown"
    before, after = median(seconds[:half]), median(seconds[half:])
    change = after / before - 1.0 if before else 0.0
    return "steady" if abs(change) < STEADY else "up" if change > 0 else "down"
