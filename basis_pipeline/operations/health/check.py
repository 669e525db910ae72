"""`check_health`: everything together."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

from basis_pipeline.config import Configs, ModeSlice, load_configs, slice_mode
from basis_pipeline.config.control import load_control_limits
from basis_pipeline.config.health import HealthLimits, load_health_limits
from basis_pipeline.errors import BasisError
from basis_pipeline.operations.health import graph as of
from basis_pipeline.operations.health.control import control
from basis_pipeline.operations.health.durations import latencies, percentiles, slow_operations
from basis_pipeline.operations.health.engine import engine
from basis_pipeline.operations.health.families import family_found
from basis_pipeline.operations.health.graph import Graph, component_graph, dependants, names_in
from basis_pipeline.operations.health.machine import disk, memory
from basis_pipeline.operations.health.memory import Memory, recall, remember
from basis_pipeline.operations.health.model import Component, Found, Health, Status, faulty
from basis_pipeline.operations.health.platform import Facts, daemon, sensors
from basis_pipeline.operations.health.store import event_log, results_store
from basis_pipeline.results.database.connection import sqlite_file
from basis_pipeline.settings import Settings, load_settings, project_root

Probe = Callable[[], Found]


def check_health(
    facts: Facts | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    config_dir: Path | None = None,
    limits: HealthLimits | None = None,
    **overrides: str | Path | date | None,
) -> Health:
    """Look at every component, and at what each unhealthy one stops. Never raises for a fault.

    Parameters
    ----------
    facts: what the Dagster floor knows; without them daemon and sensors are unknown.
    environ, overrides: as in `load_settings`.
    config_dir: the project's `configs/` when not given.
    limits: those of the configuration when not given.
    """
    now = datetime.now(UTC)
    surroundings = _surroundings(environ, config_dir, limits, overrides)
    notes: list[BasisError] = []
    kept = Memory()
    results_dir = surroundings.settings.results_dir if surroundings.settings else None
    if results_dir:
        try:
            kept = recall(results_dir)
        except BasisError as error:
            notes.append(error)
    graph = component_graph(surroundings.names, surroundings.configs, surroundings.slices)
    found, seconds = _look(graph, _probes(surroundings, facts, kept, now))
    components = tuple(_components(graph, found, seconds, kept, now))
    judged_by = surroundings.limits
    for name, took in seconds.items():
        measured = [*kept.latencies.get(name, ()), took]
        kept.latencies[name] = measured[-judged_by.kept_latencies :] if judged_by else measured
    if results_dir:
        try:
            remember(results_dir, kept)
        except BasisError as error:
            notes.append(error)
    durations = percentiles(facts.samples if facts else ())
    looked = latencies(kept.latencies)
    slow = slow_operations((*durations, *looked), judged_by.slow) if judged_by else ()
    return Health(now, components, tuple(notes), looked, durations, slow)


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What probes need; None where it cannot be had, and then the fault says why."""

    settings: Settings | None
    configs: Configs | None
    limits: HealthLimits | None
    names: of.Names
    slices: dict[str, ModeSlice]
    rules: dict[str, BasisError]  # modes that break a rule
    settings_fault: BasisError | None
    configs_fault: BasisError | None


def _surroundings(
    environ: Mapping[str, str] | None,
    config_dir: Path | None,
    limits: HealthLimits | None,
    overrides: Mapping[str, str | Path | date | None],
) -> _Surroundings:
    settings = configs = settings_fault = configs_fault = None
    names = of.Names((), ())
    slices: dict[str, ModeSlice] = {}
    rules: dict[str, BasisError] = {}
    try:
        settings = load_settings(environ, **overrides)
    except BasisError as error:
        settings_fault = error
    try:
        directory = config_dir or project_root() / "configs"
        names = names_in(directory)
        limits = limits or load_health_limits(directory)
        load_control_limits(directory)
        configs = load_configs(directory)
        for mode in configs.mode_names:
            try:
                slices[mode] = slice_mode(configs, mode)
            except BasisError as error:
                rules[mode] = error
    except BasisError as error:
        configs_fault = error
    return _Surroundings(
        settings, configs, limits, names, slices, rules, settings_fault, configs_fault
    )


def _probes(s: _Surroundings, facts: Facts | None, kept: Memory, now: datetime) -> dict[str, Probe]:
    """How to look at each component. One is asked only when what it needs is well."""
    probes: dict[str, Probe] = {
        of.SETTINGS: lambda: _readable(s.settings_fault, "every variable is set and usable"),
        of.CONFIGURATION: lambda: _readable(s.configs_fault, "every file fits its model"),
        of.ENGINE: engine,
        of.SENSORS: lambda: sensors(facts),
    }
    for mode in s.names.modes:
        fine = "its rules hold, everything it reads is there"
        probes[of.panel(mode)] = partial(_readable, s.rules.get(mode), fine)
        probes[of.mode_of(mode)] = lambda: Found(Status.HEALTHY, "can be run")
    if s.limits:
        limits = s.limits
        probes[of.MEMORY] = lambda: memory(limits.memory)
        probes[of.DAEMON] = lambda: daemon(facts, now, limits.daemon_silent_seconds)
    if s.settings:
        settings = s.settings
        database = sqlite_file(settings.results_db_url)
        places = [settings.results_dir, *([database.parent] if database else [])]
        probes[of.STORE] = lambda: results_store(settings)
        probes[of.EVENTS] = lambda: event_log(settings)
        probes[of.CONTROL] = lambda: control(settings)
        if s.limits:
            probes[of.DISK] = lambda: disk(places, limits.disk)
        for name in s.names.families if s.configs else ():
            probes[of.family(name)] = partial(_family, s, facts, kept, name)
    return probes


def _readable(fault: BasisError | None, fine: str) -> Found:
    return faulty(fault) if fault else Found(Status.HEALTHY, fine)


def _family(s: _Surroundings, facts: Facts | None, kept: Memory, name: str) -> Found:
    assert s.settings is not None  # otherwise the family needs something that is not well
    assert s.configs is not None
    ingested = facts.ingested.get(name) if facts else None
    config = s.configs.datasets[name]
    found, known = family_found(s.settings.data_dir, config, ingested, kept.families.get(name))
    if known:
        kept.families[name] = known
    return found


def _look(
    graph: Graph, probes: Mapping[str, Probe]
) -> tuple[dict[str, Found | None], dict[str, float]]:
    """What each component itself says, None where something it needs stops it; and what it took."""
    found: dict[str, Found | None] = {}
    seconds: dict[str, float] = {}
    for name, node in graph.items():
        needed = [found[other] for other in node.needs]
        if any(other is None or other.is_stopping for other in needed):
            found[name] = None
            continue
        started = time.perf_counter()
        found[name] = _asked(probes[name])
        seconds[name] = time.perf_counter() - started
    return found, seconds


def _asked(probe: Probe) -> Found:
    try:
        return probe()
    except (OSError, ValueError) as error:  # the place went away while it was looked at
        told = f"cannot be looked at: {type(error).__name__}: {error}"
        return Found(Status.UNKNOWN, told)


def _components(
    graph: Graph,
    found: Mapping[str, Found | None],
    seconds: Mapping[str, float],
    kept: Memory,
    now: datetime,
) -> list[Component]:
    roots: dict[str, tuple[str, ...]] = {}  # what stops a component, itself or others
    weak: dict[str, tuple[str, ...]] = {}
    for name, node in graph.items():
        own = found[name]
        mine = (name,) if own and own.is_stopping else ()
        roots[name] = mine or _union(roots[other] for other in node.needs)
    for name, node in graph.items():
        eased = (*(roots[o] for o in node.eased_by), *(weak[o] for o in node.needs))
        weak[name] = _union(eased)
    components = []
    for name in graph:
        told, causes = _effective(found[name], roots[name], weak[name])
        status, since = kept.since.get(name, (told.status.value, now))
        if status != told.status:
            since = now
        kept.since[name] = (told.status.value, since)
        components.append(
            Component(
                name,
                told.status,
                told.told,
                told.code,
                told.where,
                told.action,
                since,
                causes,
                dependants(graph, name),
                seconds.get(name),
            )
        )
    return components


def _effective(
    own: Found | None, roots: tuple[str, ...], weak: tuple[str, ...]
) -> tuple[Found, tuple[str, ...]]:
    """A component's status with that of what it depends on, and who is at fault."""
    if own is None:
        causes = _union((roots, weak))
        return Found(Status.NOT_READY, f"waits for {', '.join(roots)}"), causes
    if weak and own.status is Status.HEALTHY:
        return Found(Status.DEGRADED, f"works without {', '.join(weak)}"), weak
    return own, ()


def _union(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
