"""`basis health`: what works, what does not, since when, and what that stops."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import DataDir, ResultsDir
from basis_pipeline.errors import BasisError
from basis_pipeline.settings import load_settings, project_root

if TYPE_CHECKING:
    from basis_pipeline.operations.health.model import Component, Health
    from basis_pipeline.operations.health.platform import Facts

SHOWN_DURATIONS = 20


def health(
    as_json: Annotated[bool, typer.Option("--json", help="The whole report as JSON.")] = False,
    data_dir: DataDir = None,
    results_dir: ResultsDir = None,
) -> None:
    """Show how every component fares: settings, configuration, data, engine, store, log, platform.

    healthy, degraded (works, but look), unhealthy (its own fault), not ready (nothing wrong, but it
    cannot work yet, or waits for what is unhealthy), unknown. Exit code 1 when a component is
    unhealthy; 0 otherwise.
    """
    from basis_pipeline.operations.health.check import check_health
    from basis_pipeline.operations.health.model import require_healthy

    facts = _facts(data_dir, results_dir)
    found = check_health(facts, data_dir=data_dir, results_dir=results_dir)
    if as_json:
        print(found.json())
    else:
        _show(found)
    try:
        require_healthy(found)
    except BasisError as error:
        screen.echo_error(error)
        raise typer.Exit(1) from None


def _facts(data_dir: Path | None, results_dir: Path | None) -> "Facts | None":
    """What the Dagster instance knows; a place where nothing ran is not made into one."""
    from basis_pipeline.config import load_configs
    from basis_pipeline.config.health import load_health_limits
    from basis_pipeline.operations.health.platform import Facts

    try:
        settings = load_settings(data_dir=data_dir, results_dir=results_dir)
        config_dir = project_root() / "configs"
        limits = load_health_limits(config_dir)
        datasets = load_configs(config_dir).datasets.values()
    except BasisError:
        return None  # the report says what is wrong with them
    home = Path(os.environ.get("DAGSTER_HOME") or settings.results_dir / "dagster_home")
    if not (home / "dagster.yaml").exists():
        return Facts(exists=False)
    from basis_pipeline.orchestration.facts import facts_of
    from basis_pipeline.orchestration.instance import opened_instance

    try:
        with opened_instance(home) as instance:
            return facts_of(instance, datasets, limits.history_runs)
    except BasisError as error:
        return Facts(fault=error)


def _show(found: "Health") -> None:
    """Components that are not healthy, one line each; the others by number; then durations."""
    from basis_pipeline.operations.health.model import WORST_FIRST, Status

    telling = [c for c in found.components if c.status is not Status.HEALTHY]
    telling.sort(key=lambda c: WORST_FIRST.index(c.status))
    said = ("component", "status", "since (UTC)", "what it says")
    screen.console().print(screen.table("", said, map(_row, telling)))
    if found.durations:
        entries = sorted(found.durations, key=lambda entry: -entry.p95)[:SHOWN_DURATIONS]
        rows = [
            [e.operation, str(e.count), *(f"{s:.3f}" for s in (e.p50, e.p95, e.p99)), e.component]
            for e in entries
        ]
        titles = ("operation", ">runs", ">p50 s", ">p95 s", ">p99 s", "component")
        screen.console().print(screen.table("", titles, rows))
    for entry in found.slow:
        screen.echo(f"slow: {entry.operation} took {entry.latest:.3f} s, {entry.why_slow}")
    for note in found.notes:
        screen.echo_error(note)
    counts = [
        (status, [c for c in found.components if c.status is status]) for status in WORST_FIRST
    ]
    told = ", ".join(f"{len(group)} {status}" for status, group in counts if group)
    screen.echo(f"Overall {found.status}. {len(found.components)} components: {told}")


def _row(component: "Component") -> list[str]:
    said = f"{component.code}: {component.told}" if component.code else component.told
    if component.code and component.dependants:
        said += f" | affects {', '.join(component.dependants)}"
    return [component.name, component.status.value, f"{component.since:%Y-%m-%d %H:%M}", said]
