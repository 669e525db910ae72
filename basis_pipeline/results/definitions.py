"""The definition and format of every figure on a page: the rows of `figures.csv`."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from basis_pipeline.results.metrics import SAMPLING

DASH = "–"
Unit = Literal["percent", "currency", "ratio", "count", "share"]
UNITS: dict[Unit, str] = {
    "percent": "percent",
    "currency": "the share class's currency",
    "ratio": "a plain ratio",
    "count": "a count",
    "share": "share of equity",
}
SAMPLINGS = {
    "run": "over the whole run",
    "hourly": "every hour, before and after its trades",
    "extremes": "every hour, before and after its trades, and at the extreme of the bar between",
    "daily": SAMPLING,
    "last": "the last hour",
}


def percent(share: float | None, digits: int = 2) -> str:
    """Format a share as a percentage; a dash where it is not defined."""
    return DASH if share is None else f"{amount(100.0 * share, digits)} %"


def amount(value: float | None, digits: int = 2) -> str:
    """Format a number with thousands separators; a dash where it is not defined."""
    return DASH if value is None else f"{value:z,.{digits}f}".replace("-", "−")


def digits_of(capital: float) -> int:
    """Return the decimals that show a ten-millionth of the capital, two at least."""
    return max(2, 7 - math.floor(math.log10(capital)))


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a run's summary.

    better: 1 where more is better, −1 where less is better, 0 where neither holds.
    """

    label: str
    unit: Unit
    sampling: str
    meaning: str
    better: int
    digits: int

    @property
    def description(self) -> str:
        """Definition, unit and sampling in one sentence each."""
        return f"{self.meaning} Unit: {UNITS[self.unit]}. Sampling: {self.sampling}."

    def written(self, value: float | None, capital: float) -> str:
        """Format a value with its unit."""
        match self.unit:
            case "percent":
                return percent(value, self.digits)
            case "currency":
                return amount(value, digits_of(capital))
            case "count":
                return amount(value, 0)
            case "share":
                return DASH if value is None else f"{value:.1e}"
        return amount(value, self.digits)


def read_table(name: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file in the directory of this module, by column."""
    with (Path(__file__).parent / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


FIGURES: dict[str, Figure] = {
    row["name"]: Figure(
        row["label"],
        cast("Unit", row["unit"]),
        SAMPLINGS[row["sampling"]],
        row["meaning"],
        int(row["better"]),
        int(row["digits"]),
    )
    for row in read_table("figures.csv")
}


# Figures that are left out for a window under 30 days.
ANNUALISED = (
    "apr", "apy", "volatility", "sharpe", "sortino", "calmar",
    "carry_per_year", "funding_per_year", "cost_per_year", "excess_apy", "tracking_error",
)  # fmt: skip


def figure_units(*, currency: str) -> dict[str, str]:
    """Return the unit of every figure in a summary, where a share is 0.05, not 5 %."""
    units = {"percent": "share", "currency": currency}
    return {name: units.get(figure.unit, figure.unit) for name, figure in FIGURES.items()}
