"""`basis health`: what works, what does not, and what that stops."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import DataDir, ResultsDir
from basis_pipeline.errors import BasisError
from basis_pipeline.settings import config_directory, existing_dagster_home, load_settings

if TYPE_CHECKING:
    from basis_pipeline.operations.health.model import Component, Health, InstanceMetrics

SHOWN_DURATIONS = 20
SHOWN_NAMES = 8


def health(
    as_json: Annotated[bool, typer.Option("--json", help="The whole report as JSON.")] = False,
    data_dir: DataDir = None,
    results_dir: ResultsDir = None,
) -> None:
    """Show the health of every component: settings, configuration, data, store, platform.

    healthy, degraded (works, but needs attention), unhealthy (its own fault), not ready (no fault,
    but it cannot work yet, or depends on an unhealthy component), unknown. Exit code 1 when a
    component is unhealthy; 0 otherwise.
    """
    from basis_pipeline.operations.health.check import check_health
    from basis_pipeline.operations.health.model import require_healthy

    metrics = _metrics(data_dir, results_dir)
    report = check_health(metrics, data_dir=data_dir, results_dir=results_dir)
    if as_json:
        print(report.json())
    else:
        _show(report)
    try:
        require_healthy(report)
    except BasisError as error:
        screen.echo_error(error)
        raise typer.Exit(1) from None


def _metrics(data_dir: Path | None, results_dir: Path | None) -> "InstanceMetrics | None":
    """Read the metrics of the Dagster instance; where there is none, none is created."""
    from basis_pipeline.config import load_configs
    from basis_pipeline.config.health import load_health_limits
    from basis_pipeline.operations.health.model import InstanceMetrics

    try:
        settings = load_settings(data_dir=data_dir, results_dir=results_dir)
        config_dir = config_directory()
        limits = load_health_limits(config_dir)
        datasets = load_configs(config_dir).datasets.values()
    except BasisError:
        return None  # the report says what is wrong with them
    home = existing_dagster_home(settings)
    if home is None:
        return InstanceMetrics()
    from basis_pipeline.orchestration.instance import opened_instance
    from basis_pipeline.orchestration.instance_metrics import instance_metrics

    try:
        with opened_instance(home) as instance:
            return instance_metrics(instance, datasets, limits.history_runs)
    except BasisError as error:
        return InstanceMetrics(fault=error)


def _show(report: "Health") -> None:
    """Show the components that are not healthy, the number of the others, and the durations."""
    from basis_pipeline.operations.health.model import Status

    groups: dict[tuple[str, str], list[Component]] = {}
    for component in sorted(report.components, key=lambda c: list(Status).index(c.status)):
        if component.status is not Status.HEALTHY:
            groups.setdefault((component.status, component.message), []).append(component)
    columns = ["component", "status", "message"]
    screen.console().print(screen.table("", columns, map(_row, groups.values())))
    if report.durations:
        slowest = sorted(report.durations, key=lambda entry: -entry.p95)[:SHOWN_DURATIONS]
        rows = [
            [e.operation, str(e.count), *(f"{s:.3f}" for s in (e.p50, e.p95, e.p99, e.latest))]
            for e in slowest
        ]
        columns = ["operation", ">runs", ">p50 s", ">p95 s", ">p99 s", ">latest s"]
        screen.console().print(screen.table("", columns, rows))
    statuses = [component.status for component in report.components]
    counts = ", ".join(f"{statuses.count(s)} {s}" for s in Status if s in statuses)
    screen.echo(f"Overall {report.status}. {len(statuses)} components: {counts}")


def _row(group: "list[Component]") -> list[str]:
    """Show the components that have the same message in one row."""
    first = group[0]
    name = _listed([component.name for component in group], 1)
    message = f"{first.code}: {first.message}" if first.code else first.message
    if first.stops and first.dependants:
        message += f" | affects {_listed(first.dependants, SHOWN_NAMES)}"
    return [name, first.status.value, message]


def _listed(names: Sequence[str], shown: int) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
