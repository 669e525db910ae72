"""For notebooks and scripts: run a backtest, load a recorded one, set runs side by side.

    from basis_pipeline.research import backtest, compare, load_run

    base = backtest("btc_basis", start="2024-01-03", end="2024-06-01")
    less = backtest("btc_basis", start="2024-01-03", end="2024-06-01", **{"allocation.spot": 0.4})
    compare(base, less)

What is not given comes from the environment, as on the command line; nothing is written unless
`Run.save` is called. Every frame says the units of its columns in `frame.attrs["units"]`.
"""

import sys
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from basis_pipeline.backtests.judged import judged_backtest
from basis_pipeline.config import load_configs
from basis_pipeline.market.window import Window
from basis_pipeline.reports.differences import differences
from basis_pipeline.results.database.runs import directory_of
from basis_pipeline.results.definitions import FIGURES, figure_units
from basis_pipeline.results.store import RunResult, read_run, read_verdicts, write_run
from basis_pipeline.results.tables import explained
from basis_pipeline.settings import config_directory, load_settings
from basis_pipeline.verdict import Verdict

__all__ = ["Run", "backtest", "compare", "load_run"]


@dataclass(frozen=True)
class Run:
    """A finished run: what was asked, what came out.

    Its tables are frames with a column `timestamp` (datetime64[ns, UTC]); amounts are in the share
    class's currency. `frame.attrs` holds `units` and `meanings` by column, `run_id` and `mode`.
    """

    result: RunResult
    judged: tuple[Verdict, ...] = ()

    @property
    def run_id(self) -> str:
        """Sixteen hexadecimal digits: configuration, data, window, capital, engine."""
        return self.result.run_id

    @property
    def mode(self) -> str:
        """The mode's name."""
        return self.result.mode

    @property
    def config(self) -> dict[str, Any]:
        """The slice of the configuration that was run, overrides included."""
        return self.result.config

    @property
    def summary(self) -> dict[str, Any]:
        """Everything the run's `summary.json` holds: figures, months, benchmarks, repairs."""
        return self.result.summary

    @cached_property
    def figures(self) -> pd.Series:
        """The figures that are one number (SEMANTICS 11), by name; NaN where one is not defined."""
        values = {name: self.summary.get(name) for name in FIGURES}
        series = pd.Series(values, dtype="float64", name=self.run_id)
        series.index.name = "figure"
        series.attrs = {"units": figure_units(currency=self._currency), **self._identity}
        return series

    @cached_property
    def equity(self) -> pd.DataFrame:
        """`timestamp, equity, flow, drawdown`, a row a mark."""
        return self._frame("equity")

    @cached_property
    def attribution(self) -> pd.DataFrame:
        """`timestamp`, the ten components of profit and loss and the `residual`, a row a mark."""
        return self._frame("attribution")

    @cached_property
    def positions(self) -> pd.DataFrame:
        """`timestamp` and holdings by key `venue:PositionType:Instrument`, a row a mark."""
        return self._frame("positions")

    @cached_property
    def risk(self) -> pd.DataFrame:
        """`timestamp` and the measures of SEMANTICS 10, NaN where one does not apply."""
        return self._frame("risk")

    @cached_property
    def events(self) -> pd.DataFrame:
        """The ledger: every trade, payment, rebalance and liquidation in order, and why."""
        return self._frame("events")

    @cached_property
    def months(self) -> pd.DataFrame:
        """Return and profit groups by calendar month."""
        frame = pd.DataFrame(self.summary["months"])
        units = dict.fromkeys(frame.columns, self._currency) | {"month": "", "return": "share"}
        frame.attrs = {"units": units, **self._identity}
        return frame

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """Every check of the data and gate of the run: status, figure, limit and what it says."""
        names = ["place", "check", "status", "measured", "limit", "unit", "message"]
        rows = [[getattr(verdict, name) for name in names] for verdict in self.judged]
        frame = pd.DataFrame(rows, columns=names)
        frame.attrs = self._identity
        return frame

    def save(self, directory: str | Path) -> Path:
        """Write the run as `basis backtest --out` does, all of it or nothing; gives the directory.

        Raises
        ------
        ResultsError: RS-001 when it cannot be written, or holds something that is no run.
        """
        return write_run(self.result, Path(directory), self.judged)

    def __repr__(self) -> str:
        identity, apy = self.result.identity, self.summary["apy"]
        shown = "no APY" if apy is None else f"APY {apy:.2%}"
        span = f"{identity.start:%Y-%m-%d} … {identity.end:%Y-%m-%d}"
        return f"<Run {self.run_id} {self.mode} {span}: {shown}>"

    @property
    def _currency(self) -> str:
        return str(self.summary["share_class"])

    @property
    def _identity(self) -> dict[Hashable, Any]:
        return {"run_id": self.run_id, "mode": self.mode}

    def _frame(self, table: str) -> pd.DataFrame:
        """A copy that may be written to, with the units of its columns."""
        frame = self.result.frames[table].copy()
        names, asset = [str(name) for name in frame.columns], self.config["mode"]["asset"]
        columns = explained(table, names, currency=self._currency, asset=asset)
        units = {name: column.unit for name, column in columns.items()}
        meanings = {name: column.meaning for name, column in columns.items()}
        frame.attrs = {"units": units, "meanings": meanings, **self._identity}
        return frame


def backtest(
    mode: str,
    *,
    start: str | date | None = None,
    end: str | date | None = None,
    capital: float | None = None,
    data_dir: str | Path | None = None,
    **overrides: Any,
) -> Run:
    """Backtest one mode straight from the raw files, without Dagster, writing nothing.

    Verdicts of its checks and gates that are not PASS are printed on stderr.

    Parameters
    ----------
    mode: a file of `configs/modes/`.
    start, end: first and last mark, UTC, both included; a date means its 00:00.
    capital: before entry costs, in the share class's currency; else the share class's own.
    data_dir: directory of the raw files.
    overrides: dotted keys of the mode and their values, as `**{"allocation.spot": 0.4}`; a mapping
        is replaced as a whole.

    Raises
    ------
    ConfigError: an unknown mode (CONFIG-007) or key (CONFIG-010), a value that does not fit.
    DataError: a feed that is absent, rejected or too short. BacktestError, MathError: a run that
        cannot be, or does not reconcile.
    """
    settings = load_settings(
        data_dir=data_dir, data_start_date=_text(start), data_end_date=_text(end)
    )
    span = (pd.Timestamp(settings.data_start_date), pd.Timestamp(settings.data_end_date))
    judged = judged_backtest(
        load_configs(config_directory()),
        mode,
        settings.data_dir,
        Window(*span),
        capital=capital,
        overrides=overrides,
    )
    for verdict in judged.verdicts:
        if not verdict.passed:
            print(f"{verdict.status.value}  {verdict.name}: {verdict.message}", file=sys.stderr)
    return Run(judged.result, tuple(judged.verdicts))


def load_run(run: str | Path, *, results_dir: str | Path | None = None) -> Run:
    """Load a recorded run, every file checked against its hash.

    Parameters
    ----------
    run: the directory of a run; else a mode, for its latest recorded run; else a run's identity, or
        the beginning of it that no other has.
    results_dir: where the results lie; else `BASIS_RESULTS_DIR`.

    Raises
    ------
    ResultsError: RS-002 when there is no such run, and which there are; RS-003 when a file is
        missing or differs.
    """
    url = load_settings(results_dir=results_dir).results_db_url
    directory = directory_of(url, str(run))
    return Run(read_run(directory), tuple(read_verdicts(directory)))


def compare(*runs: Run) -> pd.DataFrame:
    """Set runs side by side: first every figure, then everything they differ in.

    Returns
    -------
    One column a run, named by its mode, and by its identity too where two runs have one mode. Rows
    by (`part`, `name`): part `figure`, numbers; then `configuration`, `data` (first digits of the
    hashes) and `run` (window, capital, engine), texts, of which only what is not the same in all
    runs. `attrs["units"]` has the figures' units, each run's where their currencies differ.

    Raises
    ------
    ValueError: no run is given.
    """
    if not runs:
        raise ValueError("compare needs a run")
    figures = pd.DataFrame([run.figures for run in runs]).T.astype(object)
    figures.index = pd.MultiIndex.from_product([["figure"], figures.index], names=["part", "name"])
    unequal = _unequal([run.result for run in runs])
    frame = pd.concat([figures, unequal]) if len(unequal) else figures
    frame.columns = pd.Index(_names(runs), name="run")
    frame.attrs = {"units": _shared_units(runs)}
    return frame


def _unequal(results: list[RunResult]) -> pd.DataFrame:
    """What differs, by part and name; a dash where a run has no such thing."""
    # Keys of the mode are written as overrides name them.
    rows = {
        (part, what.removeprefix("mode.")): values
        for part, found in differences(results).items()
        for what, values in found.items()
    }
    columns = [result.run_id for result in results]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).pipe(_by_part)


def _by_part(frame: pd.DataFrame) -> pd.DataFrame:
    if len(frame):
        frame.index = pd.MultiIndex.from_tuples(frame.index, names=["part", "name"])
    return frame


def _names(runs: tuple[Run, ...]) -> list[str]:
    modes = [run.mode for run in runs]
    return [run.mode if modes.count(run.mode) == 1 else f"{run.mode} {run.run_id}" for run in runs]


def _shared_units(runs: tuple[Run, ...]) -> dict[str, str]:
    """Unit of each figure; where the runs' currencies differ, all of them."""
    found: Mapping[str, dict[str, None]] = {
        name: dict.fromkeys(run.figures.attrs["units"][name] for run in runs) for name in FIGURES
    }
    return {name: " | ".join(units) for name, units in found.items()}


def _text(bound: str | date | None) -> str | None:
    return None if bound is None else str(bound)
