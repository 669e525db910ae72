"""The components and what each depends on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from basis_pipeline.config import Configs, ModeSlice

SETTINGS = "settings"
CONFIGURATION = "configuration"
MEMORY = "memory"
DISK = "disk"
STORE = "results_store"
EVENTS = "event_log"
CONTROL = "control"
ENGINE = "engine"
DAEMON = "daemon"
SENSORS = "sensors"


def family(name: str) -> str:
    """Component of a data family."""
    return f"family/{name}"


def panel(mode: str) -> str:
    """Component of a mode's panel."""
    return f"panel/{mode}"


def mode_of(mode: str) -> str:
    """Component of a mode: whether it can be run."""
    return f"mode/{mode}"


@dataclass(frozen=True, slots=True)
class Node:
    """needs: it cannot work without · eased_by: it works without, but not as well."""

    needs: tuple[str, ...] = ()
    eased_by: tuple[str, ...] = ()


Graph = Mapping[str, Node]


@dataclass(frozen=True, slots=True)
class Names:
    """Families and modes, known from the names of their files where these cannot be read."""

    families: tuple[str, ...]
    modes: tuple[str, ...]


def names_in(config_dir: Path) -> Names:
    """The families and modes that a configuration directory has files for."""
    stems = [sorted(p.stem for p in (config_dir / d).glob("*.yaml")) for d in ("datasets", "modes")]
    return Names(*map(tuple, stems))


def component_graph(
    names: Names, configs: Configs | None, slices: Mapping[str, ModeSlice]
) -> dict[str, Node]:
    """Every component, after those it needs.

    A mode that is not among `slices` breaks a rule: nobody knows what it would read.
    """
    graph = {
        SETTINGS: Node(),
        CONFIGURATION: Node(),
        MEMORY: Node((CONFIGURATION,)),
        DISK: Node((SETTINGS, CONFIGURATION)),
        STORE: Node((SETTINGS, DISK)),
        EVENTS: Node((SETTINGS, DISK)),
        CONTROL: Node((STORE,)),
        ENGINE: Node((MEMORY,)),
        DAEMON: Node((SETTINGS, CONFIGURATION)),
        SENSORS: Node((DAEMON,)),
    }
    for name in names.families:
        # A repair reads the raw files of its source, so faults do not travel further than one.
        sources = configs.datasets[name].sources if configs else ()
        graph[family(name)] = Node((SETTINGS, CONFIGURATION), tuple(map(family, sources)))
    for mode in names.modes:
        read = slices[mode].datasets if mode in slices else ()
        graph[panel(mode)] = Node((CONFIGURATION, *map(family, read)))
    for mode in names.modes:
        graph[mode_of(mode)] = Node((panel(mode), ENGINE, STORE, CONTROL), (EVENTS,))
    return graph


def stopped_by(graph: Graph, name: str) -> set[str]:
    """Components that cannot work without it, whatever lies between."""
    return _closure(graph, {name}) - {name}


def dependants(graph: Graph, name: str) -> tuple[str, ...]:
    """Components that suffer when it is unhealthy: stopped, or working less well."""
    stopped = stopped_by(graph, name)
    out = {name} | stopped
    weakened = {other for other, node in graph.items() if out & set(node.eased_by)}
    return tuple(n for n in graph if n in (stopped | _closure(graph, weakened)) - {name})


def _closure(graph: Graph, start: Iterable[str]) -> set[str]:
    reached = set(start)
    for name, node in graph.items():  # after what it needs, so that one pass is enough
        if reached & set(node.needs):
            reached.add(name)
    return reached
