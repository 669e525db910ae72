"""The limits: a worse figure never demands a milder state."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from basis_pipeline.config.control import (
    ControlLimits,
    Limit,
    load_control_limits,
    unknown_modes,
)
from basis_pipeline.config.loading import load_configs
from basis_pipeline.errors import ConfigError
from basis_pipeline.operations.control.limits import demanded, is_covered, judge
from basis_pipeline.operations.control.model import Measurement, OpenBreach, State
from basis_pipeline.settings import project_root
from tests.config.trees import copy_tree

CONFIGS = project_root() / "configs"
COMMITTED = load_control_limits(CONFIGS)
LIMITS = st.sampled_from(sorted(Limit))
VALUES = st.floats(min_value=-10.0, max_value=1e4, allow_nan=False)
BOUNDS = st.one_of(st.none(), st.floats(min_value=0.001, max_value=1.0))
MODE = "btc_basis"
NOW = datetime(2024, 6, 1, tzinfo=UTC)


def limits_of(limit: Limit, alert: float | None, halt: float | None) -> ControlLimits:
    """One limit alone, for every mode."""
    nothing: dict[str, Any] = dict.fromkeys(Limit)
    given_bounds = {"alert": alert, "halt": halt}
    return ControlLimits(name="limits", overall={**nothing, limit: given_bounds}, modes={})


@given(LIMITS, BOUNDS, BOUNDS, VALUES, VALUES)
def test_a_worse_figure_never_gives_a_milder_state(
    limit: Limit, one: float | None, two: float | None, value: float, other: float
) -> None:
    """For any bounds, for maxima and minima."""
    if limit is Limit.FAILED_GATES:
        one, two = (bound and math.ceil(bound * 10) for bound in (one, two))
    both = one is not None and two is not None
    if both and limit.is_worse(one, than=two):
        one, two = two, one
    limits = limits_of(limit, one, two)
    worse, better = (value, other) if limit.is_worse(value, than=other) else (other, value)
    states = [demanded(judge([Measurement(limit, v, MODE)], limits, NOW)) for v in (better, worse)]
    assert states[0].rank <= states[1].rank


@given(LIMITS, VALUES, VALUES)
def test_an_accepted_breach_covers_exactly_what_is_no_worse(
    limit: Limit, accepted: float, value: float
) -> None:
    """For maxima and minima; a worse level is never covered."""

    def breach(at: float, level: State) -> OpenBreach:
        return OpenBreach(limit, at, MODE, level=level, bound=1.0, since=NOW)

    is_no_worse = not limit.is_worse(value, than=accepted)
    old = breach(accepted, State.HALT)
    assert is_covered(breach(value, State.HALT), by=old) == is_no_worse
    assert not is_covered(old, by=breach(accepted, State.ALERT))


@pytest.mark.parametrize("limit", sorted(Limit))
def test_a_figure_at_its_bound_is_a_breach_and_one_that_is_no_number_too(limit: Limit) -> None:
    """A reached bound is a breach, and so is an unknown figure."""
    limits = limits_of(limit, None, 1.0)
    for value in (1.0, float("nan")):
        (breach,) = judge([Measurement(limit, value, MODE)], limits, NOW)
        assert breach.level is State.HALT
    better = 1.0 + 1e-9 if limit.is_floor else 1.0 - 1e-9
    assert judge([Measurement(limit, better, MODE)], limits, NOW) == []
    assert judge([Measurement(limit, 1e9, MODE)], limits_of(limit, None, None), NOW) == []


def test_a_mode_has_its_own_limit_where_one_is_given() -> None:
    """The overall limit holds for every other mode, and for what belongs to none."""
    loss = {"alert": None, "halt": 0.1}
    own = {"alert": None, "halt": 0.3}
    nothing: dict[str, Any] = dict.fromkeys(Limit)
    limits = ControlLimits(
        name="limits",
        overall={**nothing, Limit.DRAWDOWN: loss, Limit.DELTA: loss},
        modes={"eth_leveraged": {Limit.DRAWDOWN: own, Limit.DELTA: None}},
    )
    figures = [
        Measurement(name, 0.2, m) for name in (Limit.DRAWDOWN, Limit.DELTA) for m in ("", MODE)
    ]
    assert len(judge(figures, limits, NOW)) == 4
    assert judge([Measurement(f.limit, 0.2, "eth_leveraged") for f in figures], limits, NOW) == []


def test_the_committed_limits_watch_every_mode() -> None:
    """Every limit is there, and watched, for every mode."""
    for mode in ("", *load_configs(CONFIGS).modes):
        limits = COMMITTED.of(mode)
        assert set(limits) == set(Limit)
        assert None not in limits.values()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["overall"].pop("health_factor"), "CONFIG-005: .*overall.health_factor: miss"),
        (lambda c: c["overall"].update(leverage=None), "CONFIG-005: .*overall.leverage"),
        (lambda c: c["overall"]["health_factor"].update(halt=1.2), "halt must not come before"),
        (lambda c: c["overall"]["delta_fraction"].update(halt=0.01), "halt must not come before"),
        (lambda c: c["overall"]["drawdown_fraction"].update(halt=40.0), "above 1 is never reached"),
        (lambda c: c["overall"]["failed_gates_in_a_row"].update(halt=2.5), "whole numbers"),
    ],
)
def test_limits_that_mean_nothing_are_rejected(tmp_path: Path, change: Any, message: str) -> None:
    """A misspelt limit, or one that can never be reached, would give no protection."""
    with pytest.raises(ConfigError, match=message):
        load_control_limits(changed_limits(tmp_path, change))


def test_a_mode_that_is_gone_stops_nobody(tmp_path: Path) -> None:
    """Its limits are reported and ignored; those of the others hold as before."""
    config_dir = changed_limits(tmp_path, lambda c: c["modes"].update(btc={}))
    limits = load_control_limits(config_dir)
    ignored = unknown_modes(config_dir, limits)
    assert ignored is not None
    assert str(ignored).startswith("CONFIG-007: there is no mode btc: its limits are ignored")
    assert limits.of(MODE) == COMMITTED.of(MODE)
    assert unknown_modes(CONFIGS, COMMITTED) is None


def changed_limits(directory: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A configuration directory whose control limits are changed."""
    limits = yaml.safe_load((CONFIGS / "control" / "limits.yaml").read_text("utf-8"))
    change(limits)
    target = copy_tree(directory) / "control"
    target.mkdir()
    (target / "limits.yaml").write_text(yaml.safe_dump(limits), "utf-8")
    return directory
