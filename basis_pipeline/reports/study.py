"""Parts shared by the pages of studies: names of keys and figures, the stamp, the banners."""

from collections.abc import Sequence
from typing import Any

from basis_pipeline.reports.banners import Banner, in_order, with_status
from basis_pipeline.reports.table import Term
from basis_pipeline.results.definitions import FIGURES
from basis_pipeline.verdict import Status, Verdict, input_warnings, worst

# Key of a mode: its unit, and what it sets.
KEYS: dict[str, tuple[str, str]] = {
    "allocation.lending": ("share of equity", "Target weight of what is lent."),
    "allocation.spot": ("share of equity", "Target weight of the coin held at the spot venue."),
    "allocation.staking": ("share of equity", "Target weight of what is staked, net of its debt."),
    "capital": ("share class's currency", "Capital before entry costs."),
    "costs.gas_multiplier": ("times", "The gas of every transaction is multiplied by it."),
    "hedge.carry": (
        "notional over equity, by venue",
        "Signed perpetuals held against each other, below zero for a short.",
    ),
    "hedge.ratio": ("short over net asset", "Share of the net asset that perpetuals hedge."),
    "rebalance.delta_band": ("share of equity", "Net exposure that triggers a rebalance."),
    "rebalance.drift_band": (
        "share of equity",
        "Distance of a weight from its target that triggers a rebalance.",
    ),
    "rebalance.health_factor_floor": (
        "threshold over loan to value",
        "Health factor below which the loan is reduced.",
    ),
    "rebalance.idle_band": ("share of equity", "Idle cash that triggers a rebalance."),
    "rebalance.ltv_band": (
        "loan to value",
        "Distance of the loan to value from its target that triggers a rebalance.",
    ),
    "rebalance.margin_ratio.min": (
        "venue equity over notional",
        "Margin ratio below which a venue is given more margin.",
    ),
    "rebalance.margin_ratio.max": (
        "venue equity over notional",
        "Margin ratio above which margin is taken out of a venue.",
    ),
    "staking.flash_fee_bps": ("basis points", "Fee of the flash loan that builds the leverage."),
    "staking.lst": ("token", "The liquid staking token that is held."),
    "staking.target_ltv": ("debt over collateral", "Loan to value that the leverage aims at."),
}
LEVELS = {Status.FAIL: "alarm", Status.BLOCKED: "alarm", Status.WARN: "warn"}
FOOTER = (
    "Simulated on historical or altered data; every row is a whole backtest, and its figures are "
    "those of a single run. Hover over a name, or reach it with the Tab key, for its definition."
)


def described(key: str) -> tuple[str, str]:
    """Return the unit of a key and what it sets."""
    return KEYS.get(key, ("", f"{key} of the mode's configuration."))


def key_term(key: str, sign: str = "") -> Term:
    """Return a key with its meaning and unit; `sign` is the prefix of a table's title."""
    unit, meaning = described(key)
    return Term(sign + key, f"{meaning} Unit: {unit}." if unit else meaning)


def written(name: str, value: Any) -> str:
    """Format a figure; a dash where it is not defined."""
    return FIGURES[name].written(None if value != value else value, 1.0)


def study_stamp(verdicts: Sequence[Verdict]) -> tuple[str, str]:
    """Return the overall verdict of a study and its level, from its gates."""
    found = worst(verdicts)
    words = {Status.FAIL: "GATE FAILED", Status.BLOCKED: "GATE BLOCKED", Status.WARN: "GATES WARN"}
    if found in words:
        return words[found], LEVELS[found]
    passed = found in (Status.PASS, Status.NOT_APPLICABLE)
    return ("ALL GATES PASS", "good") if passed else ("NOT JUDGED", "warn")


def study_banners(verdicts: Sequence[Verdict], inputs: Sequence[Verdict]) -> list[Banner]:
    """Return the gates that do not pass, worst first, and the inputs with warnings."""
    found = [
        Banner(LEVELS[verdict.status], verdict.check, verdict.message)
        for verdict in in_order(with_status(verdicts, *LEVELS))
    ]
    warned = input_warnings(inputs)
    return [*found, *([Banner("warn", "Inputs", warned)] if warned else [])]
