"""Scenario sets: invalid ones are rejected with their file, and points are found by index."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from basis_pipeline.config.points import coordinates, counts, point, size
from basis_pipeline.config.scenario import load_scenario_set
from basis_pipeline.errors import ConfigError
from basis_pipeline.settings import project_root
from tests.backtests.studies import made_set, span

COMMITTED = sorted((project_root() / "configs" / "scenarios").glob("*.yaml"))
PLAIN: dict[str, Any] = {"name": "s", "description": "d", "sampling": {"method": "grid"}}


def rejected(place: Path, said: Any) -> ConfigError:
    """Return the error of a file with that content."""
    file = place / "s.yaml"
    file.write_text(said if isinstance(said, str) else yaml.safe_dump(said))
    with pytest.raises(ConfigError) as error:
        load_scenario_set(file)
    assert "s.yaml" in error.value.where
    return error.value


def test_committed_sets_can_be_loaded() -> None:
    """Each has points, of which the first and the last can be computed."""
    for path in COMMITTED:
        scenarios = load_scenario_set(path)
        assert point(scenarios, 0) != point(scenarios, size(scenarios) - 1), path


@pytest.mark.parametrize(
    "changes",
    [
        {"kyes": {}},
        {"sampling": {"method": "grid", "points": 5, "seed": 1}},
        {"sampling": {"method": "random", "points": 5}},
        {"sampling": {"method": "sobol", "points": 5, "seed": 1}},
        {"keys": {"a": span(2.0, 1.0, steps=3)}},
        {"keys": {"a": span(1.0, 1.0, steps=3)}},
        {"keys": {"a": span(0.0, 1.0, steps=3, scale="log")}},
        {"keys": {"a": span(0.0, 1.0)}},
        {"keys": {"a": {"values": []}}},
        {"keys": {"a": {"values": [1, 2, 1]}}},
        {"keys": {"a": {"values": [1]}, "a.b": {"values": [1]}}},
        {"windows": {}},
        {"markets": {"m": [{"shock": "earthquake", "at": 1}]}},
        {"markets": {"m": [{"shock": "price_gap", "at": -1, "size": 0.1}]}},
        {"markets": {"m": [{"shock": "price_gap", "at": "soon", "size": 0.1}]}},
        {"markets": {"m": [{"shock": "price_gap", "at": 1, "size": -1.0}]}},
        {"bootstrap": {"paths": 0, "mean_block_hours": 24, "seed": 1}},
    ],
)
def test_what_is_no_set_does_not_fit_the_model(tmp_path: Path, changes: dict[str, Any]) -> None:
    """An unknown key, an empty range, a draw of nothing: CONFIG-005, with the file."""
    assert rejected(tmp_path, {**PLAIN, **changes}).code == "CONFIG-005"


def test_files_that_are_not_there_or_no_yaml(tmp_path: Path) -> None:
    """A misspelt name lists the existing sets."""
    assert rejected(tmp_path, "name: [").code == "CONFIG-004"
    assert rejected(tmp_path, {**PLAIN, "name": "t"}).code == "CONFIG-005"
    with pytest.raises(ConfigError, match="CONFIG-003") as error:
        load_scenario_set(COMMITTED[0].with_name("crisis.yaml"))
    assert "crises" in error.value.available


def test_a_set_that_is_too_large_is_counted_not_made() -> None:
    """Twelve zeros by accident: one message with the sizes, at once and without memory."""
    keys = {name: span(1.0, 2.0, steps=10**4) for name in ("a", "b", "c")}
    with pytest.raises(ConfigError, match="CONFIG-MGR-005") as error:
        size(made_set(keys=keys))
    assert "1,000,000,000,000 samples" in str(error.value)


def test_points_cross_everything() -> None:
    """Windows, markets, paths and samples, the samples fastest."""
    scenarios = made_set(
        keys={"x": span(0.0, 1.0, steps=3), "y": {"values": ["a", {"b": 1.0}]}},
        windows={"w": {"start": "2024-01-01", "end": "2024-02-01"}},
        markets={"calm": [], "gap": [{"shock": "price_gap", "at": 1, "size": 0.1}]},
        bootstrap={"paths": 4, "mean_block_hours": 24, "seed": 1},
    )
    assert counts(scenarios) == {"windows": 1, "markets": 2, "paths": 4, "samples": 6}
    points = [point(scenarios, index) for index in range(size(scenarios))]
    assert len({repr((p.overrides, p.window, p.market, p.path)) for p in points}) == 48
    assert points[5].overrides == {"x": 1.0, "y": {"b": 1.0}}
    assert (points[5].path, points[6].path, points[24].market) == (0, 1, "gap")
    for outside in (-1, 48):
        with pytest.raises(IndexError):
            point(scenarios, outside)


@pytest.mark.parametrize(
    ("axis", "written"),
    [
        (span(0.1, 0.5, steps=5), ["0.1", "0.2", "0.3", "0.4", "0.5"]),
        (span(0.001, 1.0, steps=4, scale="log"), ["0.001", "0.01", "0.1", "1.0"]),
    ],
)
def test_a_grid_is_made_of_numbers_as_a_person_writes_them(axis: Any, written: list[str]) -> None:
    """Steps of a tenth give 0.3, not 0.30000000000000004."""
    scenarios = made_set(keys={"x": axis})
    values = [point(scenarios, index).overrides["x"] for index in range(size(scenarios))]
    assert [str(float(value)) for value in values] == written


@given(
    method=st.sampled_from(["random", "sobol"]),
    seed=st.integers(0, 5),
    indices=st.lists(st.integers(0, 4999), min_size=1, max_size=8),
)
def test_a_drawn_point_is_itself_wherever_it_is_asked_for(
    method: str, seed: int, indices: list[int]
) -> None:
    """A sample is the same alone or with others, in any order; another seed gives another."""
    keys = {"x": span(1.0, 100.0, scale="log"), "y": {"values": [1, 2, 3]}}
    sampling = {"method": method, "points": 5000, "seed": seed}
    scenarios = made_set(sampling=sampling, keys=keys)
    other = made_set(sampling={**sampling, "seed": seed + 6}, keys=keys)
    *_, samples = coordinates(scenarios, np.array(indices))
    assert samples.tolist() == indices
    for index in indices:
        result = point(scenarios, index).overrides
        assert result == point(scenarios, index).overrides
        assert 1.0 <= result["x"] <= 100.0
        assert result["y"] in (1, 2, 3)
        assert result["x"] != point(other, index).overrides["x"]


def test_sobol_points_are_even_and_choices_too() -> None:
    """Of 1,024 points a quarter lies in each quarter, and each of four choices comes as often."""
    keys = {"x": span(0.0, 4.0), "y": {"values": list("abcd")}}
    sampling = {"method": "sobol", "points": 1024, "seed": 2}
    scenarios = made_set(sampling=sampling, keys=keys)
    points = [point(scenarios, index).overrides for index in range(1024)]
    quarters = np.bincount([int(p["x"]) for p in points], minlength=4)
    assert quarters.tolist() == [256] * 4
    assert [sum(p["y"] == letter for p in points) for letter in "abcd"] == [256] * 4
