"""The few points of a scenario set that represent all: if they break no rule, none does.

They are checked before any data is read.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np

from basis_pipeline.backtests.backtest import capital_of
from basis_pipeline.config import Configs, ModeSlice, slice_mode
from basis_pipeline.config.points import range_values
from basis_pipeline.config.scenario import CAPITAL, Axis, Choice, Range, ScenarioSet
from basis_pipeline.errors import ConfigError

MAX_PROBES = 20_000
# Keys that set one number of the engine's parameters; "" where the engine does not use the number.
DIRECT = {
    "allocation.lending": "lending_weight",
    "allocation.spot": "spot_weight",
    "allocation.staking": "staking_weight",
    "staking.target_ltv": "target_ltv",
    "staking.max_ltv": "",
    "staking.flash_fee_bps": "flash_fee",
    "hedge.ratio": "hedge_ratio",
    "rebalance.margin_ratio.min": "margin_ratio_min",
    "rebalance.margin_ratio.max": "margin_ratio_max",
    "rebalance.delta_band": "delta_band",
    "rebalance.ltv_band": "ltv_band",
    "rebalance.health_factor_floor": "health_factor_floor",
    "rebalance.idle_band": "idle_band",
    "rebalance.drift_band": "drift_band",
    "costs.gas_multiplier": "gas_multiplier",
    CAPITAL: "",
}
# At zero these change the structure of a mode: it trades other legs and reads other data.
STRUCTURAL = (
    "allocation.lending",
    "allocation.spot",
    "allocation.staking",
    "staking.target_ltv",
    "hedge.ratio",
    "costs.gas_multiplier",
)
# No rule relates these to another key: only their own bounds have to be checked.
FREE = (
    "staking.flash_fee_bps",
    "rebalance.delta_band",
    "rebalance.ltv_band",
    "rebalance.idle_band",
    "rebalance.drift_band",
    "costs.gas_multiplier",
    CAPITAL,
)


def is_direct(key: str, axis: Axis) -> bool:
    """Say whether every value of the axis is a number that goes straight into the parameters."""
    if key not in DIRECT:
        return False
    return isinstance(axis, Range) or all(type(value) in (int, float) for value in axis.values)


def values_of(axis: Axis) -> list[Any]:
    """List all values of a choice or of a range on a grid."""
    return list(axis.values) if isinstance(axis, Choice) else range_values(axis).tolist()


def _representatives(key: str, axis: Axis) -> list[Any]:
    """List the values of one key that represent all of them."""
    listed = isinstance(axis, Choice) or axis.steps is not None
    if not is_direct(key, axis) and listed:
        return values_of(axis)
    if listed:
        values = sorted(values_of(axis))
    else:
        assert isinstance(axis, Range)
        values = [axis.low, float(np.nextafter(axis.low, axis.high)), axis.high]
    above_zero = values[1:2] if values[0] == 0.0 and key in STRUCTURAL else []
    return list(dict.fromkeys([values[0], *above_zero, values[-1]]))


def probes(scenarios: ScenarioSet) -> Iterator[dict[str, Any]]:
    """Yield the combinations of keys that represent all: if none breaks a rule, no point does.

    Every rule of the configuration is monotone in each number, so what holds at the corners of a
    box holds inside it. A number that may be zero changes the rules there, so zero and the smallest
    value above it are both included. A key that no rule relates to another is varied by itself.

    Raises
    ------
    ConfigError: CONFIG-MGR-005 when even these are too many.
    """
    chosen = {key: _representatives(key, axis) for key, axis in scenarios.keys.items()}
    tied = {key: values for key, values in chosen.items() if key not in FREE}
    free = {key: values for key, values in chosen.items() if key in FREE}
    total = math.prod(map(len, tied.values()))
    if total > MAX_PROBES:
        raise ConfigError(
            "CONFIG-MGR-005",
            f"the choices combine in {total:,} ways; at most {MAX_PROBES:,} can be checked",
            where=f"scenario set {scenarios.name}",
        )
    rest = {key: values[0] for key, values in free.items()}
    for combination in product(*tied.values()):
        yield {**dict(zip(tied, combination, strict=True)), **rest}
    for key, values in free.items():
        for value in values[1:]:
            yield {**{other: options[0] for other, options in chosen.items()}, key: value}


def checked_slices(
    configs: Configs,
    mode: str,
    scenarios: ScenarioSet,
    capital: float | None,
    overrides: Mapping[str, Any],
) -> Iterator[ModeSlice]:
    """Yield the slices of the representative points; an error names the set and the point.

    Raises
    ------
    ConfigError: as `slice_mode` and `capital_of` raise it.
    """
    for keys in probes(scenarios):
        try:
            sliced = {key: value for key, value in keys.items() if key != CAPITAL}
            mode_slice = slice_mode(configs, mode, {**overrides, **sliced})
            capital_of(mode_slice, keys.get(CAPITAL, capital))
        except ConfigError as error:
            text = ", ".join(f"{key} = {value}" for key, value in keys.items())
            raise ConfigError(
                error.code,
                f"{error.what} (at {text})" if text else error.what,
                where=f"scenario set {scenarios.name}, {error.where}",
                available=error.available,
                action=error.action,
            ) from None
        yield mode_slice
