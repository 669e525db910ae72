"""The components, what each depends on, and how faults spread along the asset graph."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from basis_pipeline.config import ModeSlice
from basis_pipeline.operations.health.model import Finding, Status

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


def feed(name: str) -> str:
    """Component of a data feed."""
    return f"feed/{name}"


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


def component_graph(
    sources: Mapping[str, Iterable[str]],
    modes: Iterable[str],
    slices: Mapping[str, ModeSlice],
) -> dict[str, Node]:
    """List every component, after those it needs.

    Parameters
    ----------
    sources: every feed, and the feeds that it may be repaired from.
    modes: every mode; one that is not among `slices` is broken, nobody knows what it would read.
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
    for name, others in sources.items():
        # A repair reads the raw files of its source, so faults do not travel further than one.
        graph[feed(name)] = Node((SETTINGS, CONFIGURATION), tuple(map(feed, others)))
    for mode in modes:
        read = slices[mode].datasets if mode in slices else ()
        graph[panel(mode)] = Node((CONFIGURATION, *map(feed, read)))
        # Results wait in their directories while the store is down.
        graph[mode_of(mode)] = Node((panel(mode), ENGINE, DISK, CONTROL), (STORE, EVENTS))
    return graph


def dependants(graph: Graph, name: str) -> tuple[str, ...]:
    """Return the components that suffer when one is unhealthy: stopped, or working less well."""
    stopped = _closure(graph, {name})
    weakened = {other for other, node in graph.items() if stopped & set(node.eased_by)}
    return tuple(n for n in graph if n in (stopped | _closure(graph, weakened)) - {name})


def _closure(graph: Graph, start: Iterable[str]) -> set[str]:
    reached = set(start)
    for name, node in graph.items():  # after what it needs, so that one pass is enough
        if reached & set(node.needs):
            reached.add(name)
    return reached


def spread(
    graph: Graph, findings: Mapping[str, Finding | None]
) -> dict[str, tuple[Finding, tuple[str, ...]]]:
    """Combine each finding with those it depends on.

    Parameters
    ----------
    findings: by component; None where nobody looked because something it needs stops it.

    Returns
    -------
    By component, the finding as it stands, and the components at fault for it.
    """
    stopped_by: dict[str, tuple[str, ...]] = {}
    faults: dict[str, tuple[str, ...]] = {}
    weakened_by: dict[str, tuple[str, ...]] = {}
    for name, node in graph.items():
        own = findings[name]
        waits_for = _union(stopped_by[other] for other in node.needs)
        stopped_by[name] = (name,) if own and own.stops else waits_for
        faults[name] = (name,) if own and own.status is Status.UNHEALTHY else stopped_by[name]
    for name, node in graph.items():
        eased = (faults[other] for other in node.eased_by)
        weakened_by[name] = _union((*eased, *(weakened_by[other] for other in node.needs)))
    found = {}
    for name, own in findings.items():
        stopping, weakening = stopped_by[name], weakened_by[name]
        if own is None:
            waiting = Finding(Status.NOT_READY, f"waits for {', '.join(stopping)}")
            found[name] = waiting, _union((stopping, weakening))
        elif weakening and own.status is Status.HEALTHY:
            message = f"works without {', '.join(weakening)}"
            found[name] = Finding(Status.DEGRADED, message), weakening
        else:
            found[name] = own, ()
    return found


def _union(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
