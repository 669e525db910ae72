"""The parts of a report: graph, percentiles, engine, limits."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_pipeline.config import load_configs, slice_mode
from basis_pipeline.config.health import Slow, load_health_limits
from basis_pipeline.errors import ConfigError
from basis_pipeline.operations.health import graph
from basis_pipeline.operations.health.durations import Sample, percentiles, slow_operations
from basis_pipeline.operations.health.engine import _judged, departure, engine
from basis_pipeline.operations.health.machine import available_memory
from basis_pipeline.operations.health.model import Status, worst
from basis_pipeline.settings import project_root

CONFIGS = project_root() / "configs"


@given(st.lists(st.floats(0.0, 1e4), min_size=1, max_size=60))
def test_percentiles_are_numpys_and_in_order(seconds: list[float]) -> None:
    """p50, p95, p99 mean what they mean everywhere."""
    (found,) = percentiles([Sample("step", "engine", value) for value in seconds])
    assert (found.p50, found.p95, found.p99) == tuple(np.percentile(seconds, (50, 95, 99)))
    assert found.p50 <= found.p95 <= found.p99 <= found.longest == max(seconds)
    assert (found.count, found.latest) == (len(seconds), seconds[-1])


def test_slow_is_long_or_longer_than_usual() -> None:
    """Long in itself; or long against its own median, once there are enough to have one."""
    limits = Slow(seconds=60.0, factor=3.0, least_samples=4)
    measured = {
        "long": [61.0],
        "unusual": [1.0, 1.0, 1.0, 3.5],
        "too few": [1.0, 9.0],
        "usual": [1.0, 9.0, 1.0, 1.0],
    }
    samples = [Sample(name, "c", value) for name, values in measured.items() for value in values]
    slow = slow_operations(percentiles(samples), limits)
    assert [entry.operation for entry in slow] == ["long", "unusual"]
    assert all(entry.why_slow for entry in slow)


def test_every_component_stands_after_what_it_needs() -> None:
    """One pass decides everything; and a name that nobody has would be a hole in the graph."""
    configs = load_configs(CONFIGS)
    slices = {mode: slice_mode(configs, mode) for mode in configs.modes}
    found = graph.component_graph(graph.names_in(CONFIGS), configs, slices)
    seen: set[str] = set()
    for name, node in found.items():
        assert set(node.needs) <= seen
        assert set(node.eased_by) <= set(found)
        seen.add(name)
    assert set(graph.dependants(found, graph.SETTINGS)) >= {graph.STORE, "mode/eth_basis"}
    assert graph.dependants(found, "mode/eth_basis") == ()
    assert graph.dependants(found, graph.EVENTS) == tuple(f"mode/{m}" for m in sorted(slices))


def test_the_engine_equals_its_closed_form_and_a_departure_is_seen() -> None:
    """The tiny run is one the form holds for; one it does not hold for is told apart."""
    assert engine().status is Status.HEALTHY
    found = _judged(departure(rebalanced=True))
    assert (found.status, found.code) == (Status.UNHEALTHY, "BT-002")
    assert _judged(float("nan")).status is Status.UNHEALTHY


def test_the_worst_is_told() -> None:
    """A fault is never hidden by what is merely not ready."""
    assert worst([]) is Status.HEALTHY
    assert worst([Status.NOT_READY, Status.DEGRADED, Status.HEALTHY]) is Status.DEGRADED
    assert worst(Status) is Status.UNHEALTHY


def test_the_machine_says_how_much_memory_there_is() -> None:
    """The figure is one of bytes, not of kilobytes or pages."""
    free = available_memory()
    assert free is not None
    assert 2**24 < free < 2**50


def test_limits_in_the_wrong_order_are_refused(tmp_path: Path) -> None:
    """Degraded comes before unhealthy."""
    text = (CONFIGS / "health" / "limits.yaml").read_text()
    (tmp_path / "health").mkdir()
    swapped = text.replace("degraded_below_mb: 1024", "degraded_below_mb: 1", 1)
    (tmp_path / "health" / "limits.yaml").write_text(swapped)
    with pytest.raises(ConfigError, match="CONFIG-005"):
        load_health_limits(tmp_path)
