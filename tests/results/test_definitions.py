"""Numbers are formatted for readers, and every figure has a definition."""

import pytest

from basis_pipeline.reports.comparison import RANKS
from basis_pipeline.results.definitions import (
    FIGURES,
    amount,
    digits_of,
    percent,
)
from basis_pipeline.results.tables import COMPONENT_MEANING, COMPONENTS, GROUPS
from tests.results.made_run import make_run


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (percent(0.12345), "12.35 %"),
        (percent(-0.5, 0), "−50 %"),
        (percent(-0.00001), "0.00 %"),
        (percent(None), "–"),
        (amount(1234567.891), "1,234,567.89"),
        (amount(-3, 0), "−3"),
        (amount(None), "–"),
    ],
)
def test_numbers_are_written_for_people(shown: str, expected: str) -> None:
    """Percent, thousands separators, a true minus, no negative zero, a dash for undefined."""
    assert shown == expected


@pytest.mark.parametrize(("capital", "digits"), [(100.0, 5), (1e5, 2), (1e9, 2), (0.5, 8)])
def test_amounts_show_a_ten_millionth_of_the_capital(capital: float, digits: int) -> None:
    """And never less than cents."""
    assert digits_of(capital) == digits


def test_every_figure_is_one_of_the_summary_and_says_unit_and_sampling() -> None:
    """No definition without a figure, no component or group without a definition."""
    assert FIGURES.keys() <= make_run().summary.keys()
    for figure in FIGURES.values():
        assert figure.meaning.endswith(".")
        assert "Unit: " in figure.description
        assert "Sampling: " in figure.description
    assert {*COMPONENTS, *GROUPS} <= COMPONENT_MEANING.keys()
    assert all(FIGURES[name].better for name in RANKS)
