"""What is drawn of a long series still has everything the eye is looking for."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from basis_pipeline.reports.sampling import HOUR_NS, days, extremes, repaired_flags, shaded

START = np.datetime64("2024-01-01T05:00", "ns").astype(np.int64)


def hours(count: int) -> np.ndarray:
    """Marks from 05:00 on."""
    marks: np.ndarray = START + HOUR_NS * np.arange(count, dtype=np.int64)
    return marks


@given(
    st.lists(st.floats(-1e9, 1e9) | st.just(float("nan")), min_size=1, max_size=400),
    st.integers(1, 30),
)
def test_thinning_keeps_the_ends_the_extremes_and_the_holes(
    listed: list[float], buckets: int
) -> None:
    """Every stretch keeps its lowest and highest value, and a gap if it has one."""
    values = np.array(listed)
    at = extremes(values, buckets)
    assert (np.diff(at) > 0).all()
    assert {0, values.size - 1} <= set(at.tolist())
    assert at.size <= max(3 * buckets + 2, 2 * buckets)
    kept = values[at]
    if np.isfinite(values).any():
        assert np.nanmin(kept) == np.nanmin(values)
        assert np.nanmax(kept) == np.nanmax(values)
    assert np.isnan(kept).any() == np.isnan(values).any()


@given(st.lists(st.booleans(), min_size=2, max_size=300), st.integers(1, 50))
def test_no_repaired_hour_is_left_unshaded(listed: list[bool], buckets: int) -> None:
    """Closing small gaps may shade more, never less."""
    flags, stamps = np.array(listed), hours(len(listed))
    spans = shaded(flags, stamps, buckets)
    covered = np.zeros_like(flags)
    for begin, end in spans:
        covered |= (stamps >= begin) & (stamps < end)
    assert (covered | ~flags).all()
    assert flags.any() == bool(spans)


def test_spans_of_a_summary_become_flags() -> None:
    """First and last hour included, hours outside the run ignored."""
    stamps = hours(6)
    spans = [["2024-01-01T03:00Z", "2024-01-01T05:00Z"], ["2024-01-01T08:00Z", "2024-01-01T09:00Z"]]
    flags = repaired_flags({"okx": spans}, stamps)["okx"]
    assert flags.tolist() == [True, False, False, True, True, False]


def test_days_are_midnights_and_both_ends() -> None:
    """A run that starts and ends within a day keeps both of its ends."""
    stamps = hours(50)
    assert days(stamps).tolist() == [0, 19, 43, 49]
