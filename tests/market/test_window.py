"""The window: what counts as one, and what does not."""

import pandas as pd
import pytest

from basis_pipeline.errors import ConfigError
from basis_pipeline.market.window import Window, parse_window


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("2024-06-01", "2024-06-02", 25),
        ("2024-06-01T22:00", "2024-06-02 01:00:00Z", 4),
        ("2024-06-01T02:00+02:00", "2024-06-01T01:00", 2),
    ],
)
def test_dates_and_hours_are_read_as_utc(start: str, end: str, hours: int) -> None:
    """A date means its midnight, an offset is honoured, both ends belong to the window."""
    window = parse_window(start, end)
    assert len(window.hours) == hours
    assert window.hours.dtype == pd.DatetimeTZDtype("ns", "UTC")
    assert (window.hours[0], window.hours[-1]) == (window.start, window.end)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2024-06-02", "2024-06-01"),
        ("2024-06-01", "2024-06-01"),
        ("2024-06-01T00:30", "2024-06-02"),
        ("soon", "2024-06-01"),
        ("08:00", "2024-06-01"),
        ("2024-06-01", "2024-13-01"),
        ("", "2024-06-01"),
    ],
)
def test_a_malformed_window_is_rejected(start: str, end: str) -> None:
    """CONFIG-011, never a guess at what was meant."""
    with pytest.raises(ConfigError) as caught:
        parse_window(start, end)
    assert caught.value.code == "CONFIG-011"


def test_a_bound_without_zone_is_rejected() -> None:
    """A naive time could be anybody's."""
    with pytest.raises(ConfigError, match="no time zone"):
        Window(pd.Timestamp("2024-06-01"), pd.Timestamp("2024-06-02", tz="UTC"))
