"""`check_health`: the whole report."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

from basis_pipeline.config import Configs, ModeSlice, load_configs, slice_mode
from basis_pipeline.config.control import load_control_limits, unknown_modes
from basis_pipeline.config.health import HealthLimits, load_health_limits
from basis_pipeline.errors import BasisError, ConfigError, HealthError
from basis_pipeline.operations.audit_log import log_directory
from basis_pipeline.operations.health import graph as of
from basis_pipeline.operations.health import probes as look
from basis_pipeline.operations.health.graph import Graph, component_graph, dependants, spread
from basis_pipeline.operations.health.history import Since, load_since, store_since
from basis_pipeline.operations.health.instance import InstanceMetrics, durations
from basis_pipeline.operations.health.model import Component, Finding, Health, Status, faulty
from basis_pipeline.results.database.connection import sqlite_file
from basis_pipeline.settings import Settings, config_directory, files_with_secrets, load_settings

Probe = Callable[[], Finding]


def check_health(
    metrics: InstanceMetrics | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    config_dir: Path | None = None,
    limits: HealthLimits | None = None,
    **overrides: str | Path | date | None,
) -> Health:
    """Look at every component, and at what each unhealthy one stops. Never raises for a fault.

    Parameters
    ----------
    metrics: what Dagster knows; without them daemon and sensors are unknown.
    environ, overrides: as in `load_settings`.
    config_dir: the project's `configs/` when not given.
    limits: those of the configuration when not given.
    """
    now = datetime.now(UTC)
    place = _place(environ, config_dir or config_directory(), overrides, limits)
    datasets = place.configs.datasets if place.configs else {}
    modes = place.configs.mode_names if place.configs else []
    sources = {name: config.sources for name, config in sorted(datasets.items())}
    graph = component_graph(sources, modes, place.slices)
    findings = spread(graph, look_at(graph, _probes(place, metrics, environ, now)))
    notes: list[BasisError] = []
    since: Since = {}
    results_dir = place.settings.results_dir if place.settings else None
    if results_dir:
        try:
            since = load_since(results_dir)
        except BasisError as error:
            notes.append(error)
    for name, (finding, _) in findings.items():
        if name not in since or since[name][0] != finding.status:
            since[name] = finding.status.value, now
    if results_dir:
        try:
            store_since(results_dir, {name: since[name] for name in graph})
        except BasisError as error:
            notes.append(error)
    components = tuple(
        Component(
            **asdict(finding),
            name=name,
            since=since[name][1],
            affected_by=causes,
            dependants=dependants(graph, name),
        )
        for name, (finding, causes) in findings.items()
    )
    samples = metrics.samples if metrics else ()
    measured = durations(samples, place.limits.slow) if place.limits else ()
    return Health(now, components, tuple(notes), measured)


@dataclass(frozen=True, slots=True)
class _Place:
    """What the probes need; None where it cannot be had, and then a fault says why."""

    settings: Settings | None = None
    limits: HealthLimits | None = None
    configs: Configs | None = None
    slices: Mapping[str, ModeSlice] = field(default_factory=dict)
    faults: Mapping[str, Finding] = field(default_factory=dict)


def _place(
    environ: Mapping[str, str] | None,
    config_dir: Path,
    overrides: Mapping[str, str | Path | date | None],
    limits: HealthLimits | None,
) -> _Place:
    settings = configs = None
    slices: dict[str, ModeSlice] = {}
    faults: dict[str, Finding] = {}
    try:
        settings = load_settings(environ, **overrides)
    except BasisError as error:
        faults[of.SETTINGS] = faulty(error)
    try:
        configs = load_configs(config_dir)
        limits = limits or load_health_limits(config_dir)
        ignored = unknown_modes(config_dir, load_control_limits(config_dir))
        if problems := [*configs.broken.values(), *([ignored] if ignored else [])]:
            what = "; ".join(problem.what for problem in problems)
            where = ", ".join(problem.where for problem in problems)
            several = ConfigError(problems[0].code, what, where=where)
            faults[of.CONFIGURATION] = faulty(several, Status.DEGRADED)
    except BasisError as error:
        faults[of.CONFIGURATION] = faulty(error)
    for mode in configs.mode_names if configs else ():
        assert configs is not None
        try:
            slices[mode] = slice_mode(configs, mode)
        except BasisError as error:
            faults[of.panel(mode)] = faulty(error)
    return _Place(settings, limits, configs, slices, faults)


def _probes(
    place: _Place, metrics: InstanceMetrics | None, environ: Mapping[str, str] | None, now: datetime
) -> dict[str, Probe]:
    """Return how to look at each component; a probe runs only when what it needs does not stop."""
    healthy = partial(Finding, Status.HEALTHY)
    probes: dict[str, Probe] = {
        of.SETTINGS: lambda: look.settings(files_with_secrets(environ)),
        of.CONFIGURATION: lambda: healthy("every file fits its model"),
        of.ENGINE: look.engine,
        of.SENSORS: lambda: look.sensors(metrics),
    }
    for mode in place.configs.mode_names if place.configs else ():
        probes[of.panel(mode)] = lambda: healthy("its rules hold, everything it reads is there")
        probes[of.mode_of(mode)] = lambda: healthy("can be run")
    if limits := place.limits:
        probes[of.MEMORY] = lambda: look.memory(limits.memory)
        probes[of.DAEMON] = lambda: look.daemon(metrics, now, limits.daemon_silent_seconds)
    if settings := place.settings:
        database = sqlite_file(settings.results_db_url)
        places = [settings.results_dir, *([database.parent] if database else [])]
        probes[of.STORE] = lambda: look.results_store(settings)
        probes[of.EVENTS] = lambda: look.event_log(log_directory(settings))
        probes[of.CONTROL] = lambda: look.control(settings)
        if limits:
            probes[of.DISK] = lambda: look.disk(places, limits.disk)
        for name, config in place.configs.datasets.items() if place.configs else ():
            verdict = metrics.feeds.get(name) if metrics else None
            probes[of.feed(name)] = partial(look.feed, settings.data_dir, config, verdict)
    return probes | {name: partial(_given, found) for name, found in place.faults.items()}


def _given(finding: Finding) -> Finding:
    return finding


def look_at(graph: Graph, probes: Mapping[str, Probe]) -> dict[str, Finding | None]:
    """Return what each component itself shows, None where something it needs stops it."""
    findings: dict[str, Finding | None] = {}
    for name, node in graph.items():
        needed = [findings[other] for other in node.needs]
        if any(other is None or other.stops for other in needed):
            findings[name] = None
            continue
        try:
            findings[name] = probes[name]()
        except (OSError, ValueError) as error:
            what = f"it cannot be looked at: {type(error).__name__}: {error}"
            findings[name] = faulty(HealthError("HEALTH-009", what, where=name))
    return findings
