"""`check_health`: the components, their dependencies, how faults propagate, and the report."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cached_property, partial
from pathlib import Path

from basis_pipeline.config import Configs, DatasetConfig, load_configs, slice_mode
from basis_pipeline.config.control import load_control_limits, unknown_modes
from basis_pipeline.config.health import HealthLimits, load_health_limits
from basis_pipeline.errors import BasisError, ConfigError, HealthError
from basis_pipeline.operations.health import probes
from basis_pipeline.operations.health.model import (
    Component,
    FeedVerdict,
    Finding,
    Health,
    InstanceMetrics,
    Status,
    faulty,
)
from basis_pipeline.settings import Settings, config_directory, files_with_secrets, load_settings


@dataclass(frozen=True, slots=True)
class Node:
    """The probe of a component, and its dependencies.

    Parameters
    ----------
    probe: checks it alone; an error that it raises is the fault.
    needs: it cannot work without them. uses: without them it works, but is degraded.
    """

    probe: Callable[[], Finding]
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()


Graph = Mapping[str, Node]


def component_names(configs: Configs) -> list[str]:
    """List every component: those of the platform, the feeds, the modes."""
    return list(component_graph(Place(), configs, None))


def check_health(
    metrics: InstanceMetrics | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    config_dir: Path | None = None,
    limits: HealthLimits | None = None,
    **overrides: str | Path | date | None,
) -> Health:
    """Check every component, and find what each unhealthy one stops. Never raises for a fault.

    Parameters
    ----------
    metrics: of the Dagster instance; without them daemon and sensors are unknown.
    environ, overrides: as in `load_settings`.
    config_dir: the project's `configs/` when not given.
    limits: those of the configuration when not given.
    """
    place = Place(environ, overrides, config_dir, limits)
    try:
        configs = place.configs
    except BasisError:
        configs = None
    combined = propagate(component_graph(place, configs, metrics))
    components = tuple(
        Component(
            **asdict(finding),
            name=name,
            affected_by=causes,
            dependants=tuple(other for other, (_, by) in combined.items() if name in by),
        )
        for name, (finding, causes) in combined.items()
    )
    return Health(datetime.now(UTC), components, tuple(metrics.durations) if metrics else ())


@dataclass(frozen=True)
class Place:
    """The inputs of the probes, loaded on first use; one that cannot be loaded raises its error."""

    environ: Mapping[str, str] | None = None
    overrides: Mapping[str, str | Path | date | None] = field(default_factory=dict)
    given_config_dir: Path | None = None
    given_limits: HealthLimits | None = None

    @cached_property
    def config_dir(self) -> Path:
        """Find the configuration."""
        return self.given_config_dir or config_directory(self.environ)

    @cached_property
    def settings(self) -> Settings:
        """Load the settings."""
        return load_settings(self.environ, **self.overrides)

    @cached_property
    def configs(self) -> Configs:
        """Load the configuration."""
        return load_configs(self.config_dir)

    @cached_property
    def limits(self) -> HealthLimits:
        """Load the limits, unless they are given."""
        return self.given_limits or load_health_limits(self.config_dir)


def component_graph(
    place: Place, configs: Configs | None, metrics: InstanceMetrics | None
) -> dict[str, Node]:
    """List every component after those it needs; without configuration no feed and no mode."""
    loaded = ("settings", "configuration")
    graph = {
        "settings": Node(lambda: _settings(place)),
        "configuration": Node(lambda: _configuration(place)),
        "memory": Node(lambda: probes.memory(place.limits.memory), ("configuration",)),
        "disk": Node(lambda: probes.disk(place.settings, place.limits.disk), loaded),
        "results_store": Node(lambda: probes.results_store(place.settings), ("settings", "disk")),
        "event_log": Node(lambda: probes.event_log(place.settings), ("settings", "disk")),
        "control": Node(lambda: probes.control(place.settings), ("results_store",)),
        "daemon": Node(partial(_daemon, place, metrics), loaded),
        "sensors": Node(lambda: probes.sensors(metrics), ("daemon",)),
    }
    modes = configs.mode_names if configs else ()
    read = {mode: tuple(_datasets_of(place.configs, mode)) for mode in modes}
    needed = {name for names in read.values() for name in names}
    for name, config in sorted(configs.datasets.items()) if configs else ():
        verdict = metrics.feeds.get(name) if metrics else None
        # A repair reads the raw files of its source, so faults propagate by one step only.
        sources = tuple(f"feed/{source}" for source in config.sources)
        graph[f"feed/{name}"] = Node(
            partial(_feed, place, config, verdict, name in needed), loaded, sources
        )
    for mode, names in read.items():
        feeds = (f"feed/{name}" for name in names)
        needs = ("configuration", *feeds, "memory", "disk", "control")
        # Results wait in their directories while the store is down.
        uses = ("results_store", "event_log")
        graph[f"mode/{mode}"] = Node(partial(_mode, place.configs, mode), needs, uses)
    return graph


def _settings(place: Place) -> Finding:
    _ = place.settings
    return probes.settings(files_with_secrets(place.environ))


def _configuration(place: Place) -> Finding:
    """Check all files: a broken one stops only what needs it."""
    _ = place.limits
    problems = list(place.configs.broken.values())
    if ignored := unknown_modes(place.config_dir, load_control_limits(place.config_dir)):
        problems.append(ignored)
    if not problems:
        return Finding(Status.HEALTHY, "every file fits its model")
    what = "; ".join(problem.what for problem in problems)
    where = ", ".join(problem.where for problem in problems)
    return faulty(ConfigError(problems[0].code, what, where=where), Status.DEGRADED)


def _daemon(place: Place, metrics: InstanceMetrics | None) -> Finding:
    return probes.daemon(metrics, place.limits.daemon_silent_seconds)


def _feed(
    place: Place, config: DatasetConfig, verdict: FeedVerdict | None, is_needed: bool
) -> Finding:
    return probes.feed(place.settings.data_dir, config, verdict, is_needed=is_needed)


def _mode(configs: Configs, mode: str) -> Finding:
    slice_mode(configs, mode)
    return Finding(Status.HEALTHY, "can be run")


def _datasets_of(configs: Configs, mode: str) -> Iterable[str]:
    """List the feeds that a mode reads; none where its configuration is broken."""
    try:
        return slice_mode(configs, mode).datasets
    except BasisError:
        return ()


def propagate(graph: Graph) -> dict[str, tuple[Finding, tuple[str, ...]]]:
    """Check every component that no other stops, and propagate faults along the graph.

    Returns
    -------
    By component, its finding including its dependencies, and the components at fault for it.
    """
    alone: dict[str, Finding | None] = {}
    stopped_by: dict[str, tuple[str, ...]] = {}
    weakened_by: dict[str, tuple[str, ...]] = {}
    for name, node in graph.items():
        waits_for = _union(stopped_by[other] for other in node.needs)
        finding = alone[name] = None if waits_for else _check(name, node.probe)
        stopped_by[name] = (name,) if finding and finding.stops else waits_for
    faults = {
        name: (name,) if finding and finding.status is Status.UNHEALTHY else stopped_by[name]
        for name, finding in alone.items()
    }
    for name, node in graph.items():
        used = (faults[other] for other in node.uses)
        weakened_by[name] = _union((*used, *(weakened_by[other] for other in node.needs)))
    combined: dict[str, tuple[Finding, tuple[str, ...]]] = {}
    for name, finding in alone.items():
        causes = weakened_by[name]
        if finding is None:
            waiting = Finding(Status.NOT_READY, f"waits for {', '.join(stopped_by[name])}")
            combined[name] = waiting, _union((stopped_by[name], causes))
        elif causes and finding.status is Status.HEALTHY:
            weakened = Finding(
                Status.DEGRADED,
                f"works without {', '.join(causes)}",
                latency_ms=finding.latency_ms,
            )
            combined[name] = weakened, causes
        else:
            combined[name] = finding, ()
    return combined


def _check(name: str, probe: Callable[[], Finding]) -> Finding:
    began = time.perf_counter()
    try:
        finding = probe()
    except BasisError as error:
        finding = faulty(error)
    except (OSError, ValueError) as error:
        what = f"it cannot be checked: {type(error).__name__}: {error}"
        finding = faulty(HealthError("HEALTH-007", what, where=name))
    return replace(finding, latency_ms=round(1000.0 * (time.perf_counter() - began), 3))


def _union(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
