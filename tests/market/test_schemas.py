"""Schemas are generated from the catalogue, and each of their rules can be broken."""

from collections.abc import Callable

import pandas as pd
import pytest

from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.schemas import schema_for, validate
from tests.market.conftest import Catalogue

TIMESTAMPS = pd.date_range("2024-06-01", periods=3, freq="h", tz="UTC", unit="ns")


def _text(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    marked = frame.assign(source=name, repair="")
    return marked.astype({"source": "str", "repair": "str"})


@pytest.fixture
def gas() -> pd.DataFrame:
    """Return a valid gas frame."""
    values = {"timestamp": TIMESTAMPS, "base_fee_gwei": [1.0, 900.0, 2.0]}
    return _text(pd.DataFrame(values | {"priority_fee_p50_gwei": [0.0, 1.0, 2.0]}), "ethereum_gas")


def test_every_dataset_has_a_schema_with_units(catalogue: Catalogue) -> None:
    """Descriptions and units stand in every value column, so that an interface can show them."""
    for config in catalogue.values():
        schema = schema_for(config)
        assert list(schema.columns)[-2:] == ["source", "repair"]
        for name in config.value_columns:
            column = schema.columns[name]
            assert column.description
            assert column.metadata["unit"]


def test_a_frame_that_fits_passes_real_spikes_included(
    gas: pd.DataFrame, catalogue: Catalogue
) -> None:
    """900 gwei is a crisis, not a fault."""
    validate(gas, catalogue["ethereum_gas"], "gas.csv")


BREAKS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "a column more": lambda f: f.assign(extra=1.0),
    "a column less": lambda f: f.drop(columns="base_fee_gwei"),
    "another order of columns": lambda f: f[list(f.columns[::-1])],
    "a missing value": lambda f: f.assign(base_fee_gwei=[1.0, None, 2.0]),
    "an infinite value": lambda f: f.assign(base_fee_gwei=[1.0, float("inf"), 2.0]),
    "a negative value": lambda f: f.assign(base_fee_gwei=[1.0, -1.0, 2.0]),
    "whole numbers": lambda f: f.assign(base_fee_gwei=[1, 2, 3]),
    "microseconds": lambda f: f.assign(timestamp=TIMESTAMPS.as_unit("us")),
    "no zone": lambda f: f.assign(timestamp=TIMESTAMPS.tz_localize(None)),
    "a timestamp twice": lambda f: f.assign(timestamp=TIMESTAMPS[[0, 0, 1]]),
    "a step back": lambda f: f.assign(timestamp=TIMESTAMPS[[0, 2, 1]]),
    "a source nobody declared": lambda f: f.assign(source="elsewhere"),
    "a repair nobody declared": lambda f: f.assign(repair="guessed"),
}


@pytest.mark.parametrize("how", BREAKS)
def test_every_rule_can_be_broken(how: str, gas: pd.DataFrame, catalogue: Catalogue) -> None:
    """DATA-014 for each of them, also for pandas' microseconds, which look the same."""
    with pytest.raises(RejectedDataError) as caught:
        validate(BREAKS[how](gas), catalogue["ethereum_gas"], "gas.csv")
    assert (caught.value.code, caught.value.where) == ("DATA-014", "gas.csv")
    assert len(caught.value.offending) > 0


def test_a_fall_in_what_can_only_grow_breaks_the_schema(catalogue: Catalogue) -> None:
    """The same rule as for raw rows, on the dataset's own."""
    frame = pd.DataFrame({"timestamp": TIMESTAMPS, "oracle_rate": [1.04, 1.05, 1.03]})
    with pytest.raises(RejectedDataError, match="only grows") as caught:
        validate(_text(frame, "weeth_oracle"), catalogue["weeth_oracle"], "oracle.csv")
    assert caught.value.offending["oracle_rate"].tolist() == [1.03]


@pytest.mark.parametrize("late", [pd.Timedelta(hours=1), pd.Timedelta(0)])
def test_a_payout_before_its_period_ends_breaks_the_schema(
    catalogue: Catalogue, late: pd.Timedelta
) -> None:
    """Nothing is credited before it is earned: a period runs to 24:00 of its last day."""
    frame = pd.DataFrame(
        {
            "timestamp": TIMESTAMPS,
            "period_start": TIMESTAMPS - pd.Timedelta(days=7),
            "period_end": TIMESTAMPS + late,
            "tokens_per_unit": 0.1,
        }
    )
    with pytest.raises(RejectedDataError, match="period_ends_before_payout"):
        validate(_text(frame, "ethfi_rewards"), catalogue["ethfi_rewards"], "rewards.csv")
