"""Dated deposits and withdrawals: the accepted times."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_pipeline.config import load_configs, parse_assignments, slice_mode
from basis_pipeline.errors import ConfigError
from tests.config.trees import COMMITTED

LOADED = load_configs(COMMITTED)


def flow_at(date: Any, amount: Any = 10.0) -> datetime:
    """The time a flow with this date is read as."""
    flows = {"flows": [{"date": date, "amount": amount}]}
    return slice_mode(LOADED, "eth_basis", flows).mode.flows[0].date


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2024-07-01", 0),
        ("2024-07-01T08:00", 8),
        ("2024-07-01T08:00:00+02:00", 6),
        ("2024-07-01T08:30:00+05:30", 3),
    ],
)
def test_a_date_an_hour_or_an_offset_is_a_full_hour_in_utc(text: str, hour: int) -> None:
    """A date means midnight, a timestamp without an offset is UTC, others are converted."""
    expected = datetime(2024, 7, 1, hour, tzinfo=UTC)
    assert flow_at(text) == expected
    assert flow_at(text).tzinfo is UTC
    (flow,) = parse_assignments([f"flows=[{{date: {text}, amount: 10.0}}]"])["flows"]
    assert flow_at(flow["date"]) == expected


@pytest.mark.parametrize(
    ("date", "message"),
    [
        ("2024-07-01T08:30", "whole hour"),
        ("2024-07-01T08:00:00+05:30", "whole hour"),
        ("yesterday", "Invalid isoformat"),
        (1719792000, "a date or a timestamp"),
        ("9999-12-31T23:00:00-05:00", "between 1970 and 2261"),
        ("1066-10-14", "between 1970 and 2261"),
    ],
)
def test_another_time_is_rejected(date: Any, message: str) -> None:
    """A flow between two hours, or without a time, is never moved to an hour."""
    with pytest.raises(ConfigError, match=rf"flows\.0\.date: .*{message}") as raised:
        flow_at(date)
    assert raised.value.code == "CONFIG-005"


@pytest.mark.parametrize("amount", [0.0, float("nan"), "10", True, None])
def test_an_amount_is_a_number_other_than_zero(amount: Any) -> None:
    """A flow that moves nothing is a mistake."""
    with pytest.raises(ConfigError, match=r"flows\.0\.amount: ") as raised:
        flow_at("2024-07-01", amount)
    assert raised.value.code == "CONFIG-005"


@given(hours=st.integers(24, 2_550_000), offset=st.integers(-12, 12))
def test_the_same_instant_is_the_same_flow_in_any_offset(hours: int, offset: int) -> None:
    """The offset of a time changes neither the flow nor the identity of the run."""
    utc = datetime.fromtimestamp(hours * 3600, UTC)
    spelled = utc.astimezone(timezone(timedelta(hours=offset))).isoformat()
    assert flow_at(spelled) == utc
    written = [{"flows": [{"date": d, "amount": 5}]} for d in (spelled, utc.isoformat())]
    first, second = (slice_mode(LOADED, "eth_basis", flows) for flows in written)
    assert first.config_hash == second.config_hash
