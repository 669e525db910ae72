"""Data trees read once, the runs made on them, and the windows and overrides that tests share."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from basis_pipeline.backtests.backtest import capital_of, run_backtest
from basis_pipeline.backtests.checks import Finished
from basis_pipeline.config import Configs, ModeSlice, load_configs, slice_mode
from basis_pipeline.errors import DataError
from basis_pipeline.market.dataset import Dataset, build_datasets
from basis_pipeline.market.panel import build_panel
from basis_pipeline.market.raw import RawFeed, read_feeds
from basis_pipeline.market.window import Window, parse_window

SHIPPED = load_configs(Path(__file__).parents[2] / "configs")
# The real data have no SOL: the carry is tried on BTC here, on SOL in `test_other_coins`.
CARRY = {
    "asset": "BTC",
    "hedge.carry": {"binance": -0.8, "bybit": 0.8},
    "costs": {"enabled": True, "model": "table", "flat_bps": 0.0, "gas_multiplier": 1.2},
}
ON_BTC = slice_mode(SHIPPED, "funding_arbitrage", CARRY).mode
CONFIGS = replace(SHIPPED, modes={**SHIPPED.modes, "funding_arbitrage": ON_BTC})
MODES = tuple(name for name, mode in CONFIGS.modes.items() if mode.asset != "SOL")
HELD = {"rebalance.enabled": False, "costs.enabled": False, "rewards.enabled": False}

Overrides = Mapping[str, Any]
Bounds = tuple[str, str]


def is_leveraged(mode: str) -> bool:
    """Whether a committed mode borrows."""
    return CONFIGS.mode(mode).is_leveraged


def stakes(mode: str) -> bool:
    """Whether a committed mode holds a liquid staking token."""
    return CONFIGS.mode(mode).allocation.staking > 0


def is_hedged(mode: str) -> bool:
    """Whether a committed mode is short perpetuals against what it owns."""
    return CONFIGS.mode(mode).hedge.ratio > 0


def carries(mode: str) -> bool:
    """Whether a committed mode holds the perpetual of one venue against that of another."""
    return bool(CONFIGS.mode(mode).hedge.carry)


@dataclass(frozen=True)
class Tree:
    """A data directory: its families are read once, its datasets built once a window.

    `windows` are by name: `whole`, `middle` and `odd` (neither end at midnight).
    """

    root: Path
    windows: dict[str, Window]
    configs: Configs = CONFIGS
    _datasets: dict[Window, dict[str, Dataset | DataError]] = field(default_factory=dict)
    _runs: dict[str, Finished] = field(default_factory=dict)

    @cached_property
    def families(self) -> dict[str, RawFeed | DataError]:
        """Every raw family of the catalogue."""
        return read_feeds(self.root, self.configs.datasets.values())

    def datasets(self, window: Window) -> dict[str, Dataset | DataError]:
        """Every dataset over a window."""
        if window not in self._datasets:
            built = build_datasets(self.configs.datasets.values(), self.families, window)
            self._datasets[window] = built
        return self._datasets[window]

    def run(
        self, mode: str, window: Window | str = "whole", overrides: Overrides | None = None
    ) -> Finished:
        """Backtest a mode; the same call gives the same run, which nobody may write into."""
        span = self.windows[window] if isinstance(window, str) else window
        key = f"{mode} {span} {sorted((overrides or {}).items())}"
        if key not in self._runs:
            sliced = slice_mode(self.configs, mode, overrides)
            self._runs[key] = self.run_slice(sliced, span)
        return self._runs[key]

    def scenarios(self, mode: str, window: str = "whole") -> Iterator[tuple[str, Finished]]:
        """Backtest each of `variants`: its name and its run."""
        for name, overrides in variants(mode, self.windows[window]).items():
            yield name, self.run(mode, window, overrides)

    def run_slice(
        self, sliced: ModeSlice, window: Window, capital: float | None = None
    ) -> Finished:
        """Backtest a slice."""
        panel = build_panel(sliced, self.datasets(window), window)
        result = run_backtest(sliced, panel, window, capital_of(sliced, capital))
        return Finished(result, sliced, panel)


def windows(whole: Bounds, middle: Bounds, odd: Bounds) -> dict[str, Window]:
    """Windows by name."""
    named = {"whole": whole, "middle": middle, "odd": odd}
    return {name: parse_window(*bounds) for name, bounds in named.items()}


def variants(mode: str, window: Window) -> dict[str, dict[str, Any]]:
    """Return overrides to try on a mode with everything on, by name; flows lie in the window."""
    config = CONFIGS.mode(mode)
    capital = CONFIGS.share_classes[config.share_class].initial_capital
    hours = [stamp.isoformat() for stamp in window.hours[[30, 30, len(window.hours) // 2, -1]]]
    amounts = (0.4 * capital, -0.1 * capital, -0.5 * capital, 0.05 * capital)
    flows = [{"date": d, "amount": a} for d, a in zip(hours, amounts, strict=True)]
    found: dict[str, dict[str, Any]] = {"as committed": {}, "flows": {"flows": flows}}
    if stakes(mode):
        found["marked to market"] = {"pricing.mark_lst": "market"}
        found["another token"] = {"staking.lst": "wstETH"}
    if is_leveraged(mode):
        found["flash fee"] = {"staking.flash_fee_bps": 9.0}
        found["at 0.9"] = {"staking.target_ltv": 0.9, "pricing.mark_lst": "market"}
    if is_hedged(mode):
        sleeve = "staking" if stakes(mode) else "spot"
        found["three quarters"] = {f"allocation.{sleeve}": 0.75}
        found["tight bands"] = {"rebalance.margin_ratio": {"min": 0.97, "max": 1.03}}
        found["flat costs"] = {"costs.model": "flat", "costs.flat_bps": 7.0}
        found["closes"] = {"pricing.price_field": "close"}
        found["held still"] = {"rebalance.enabled": False}
    if carries(mode):
        found["three quarters"] = {"hedge.carry": {"binance": -0.75, "bybit": 0.75}}
        found["the other way round"] = {"hedge.carry": {"binance": 1.2, "bybit": -1.2}}
        found["lending beside"] = {"allocation.lending": 0.3}
        found["tight bands"] = {"rebalance.margin_ratio": {"min": 0.6, "max": 0.65}}
        found["flat costs"] = {"costs.model": "flat", "costs.flat_bps": 7.0}
        found["closes"] = {"pricing.price_field": "close"}
        found["held still"] = {"rebalance.enabled": False}
    if is_hedged(mode):
        found["half a hedge"] = {"hedge.ratio": 0.6, "pricing.liquidation_price": "open"}
    return found
