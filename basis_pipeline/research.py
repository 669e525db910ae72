"""For notebooks and scripts: backtests, sweeps and walk-forwards, and recorded runs.

    from basis_pipeline.research import backtest, compare, load_run, sweep, walk_forward

    base = backtest("btc_basis", start="2024-01-03", end="2024-06-01")
    less = backtest("btc_basis", start="2024-01-03", end="2024-06-01", **{"allocation.spot": 0.4})
    compare(base, less)

Parameters that are not given come from the environment, as on the command line; nothing is stored
unless `Run.save` is called. Every frame has the units of its columns in `frame.attrs["units"]`.
"""

import sys
import tempfile
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from basis_pipeline.backtests.ingest import Feeds
from basis_pipeline.backtests.judged import judged_backtest
from basis_pipeline.backtests.scenario_checks import scenario_checks
from basis_pipeline.backtests.scenarios import study_of
from basis_pipeline.backtests.sweep import read_rows
from basis_pipeline.backtests.sweep import sweep as run_sweep
from basis_pipeline.backtests.walk_forward import Walked, scenario_set, walk, walk_forward_checks
from basis_pipeline.config import load_configs
from basis_pipeline.config.loading import validate
from basis_pipeline.config.scenario import ScenarioSet, load_scenario_set, set_file
from basis_pipeline.config.walk_forward import WalkForward, load_walk_forward
from basis_pipeline.market.window import Window
from basis_pipeline.reports.differences import differences
from basis_pipeline.results.database.runs import directory_of
from basis_pipeline.results.definitions import FIGURES, figure_units
from basis_pipeline.results.returns import daily
from basis_pipeline.results.store import RunResult, read_run, read_verdicts, write_run
from basis_pipeline.results.summary import growth_of, stamps
from basis_pipeline.results.tables import explained
from basis_pipeline.settings import config_directory, load_settings
from basis_pipeline.verdict import Verdict

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Run", "backtest", "compare", "load_run", "sweep", "walk_forward"]


@dataclass(frozen=True)
class Run:
    """A finished run: its configuration, tables, figures and verdicts.

    Its tables are frames by `timestamp` (datetime64[ns, UTC]); amounts are in the share class's
    currency. `frame.attrs` holds `units` and `meanings` by column, `run_id` and `mode`.
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
        """`equity, flow, drawdown`, one row per hour."""
        return self._frame("equity")

    @cached_property
    def attribution(self) -> pd.DataFrame:
        """The ten components of profit and loss and the `residual`, one row per hour."""
        return self._frame("attribution")

    @cached_property
    def positions(self) -> pd.DataFrame:
        """Holdings by key `venue:PositionType:Instrument`, one row per hour."""
        return self._frame("positions")

    @cached_property
    def risk(self) -> pd.DataFrame:
        """The measures of SEMANTICS 10, NaN where one does not apply."""
        return self._frame("risk")

    @cached_property
    def events(self) -> pd.DataFrame:
        """The ledger: every trade, payment, rebalance and liquidation in order, and why."""
        return self._frame("events")

    @cached_property
    def returns(self) -> pd.Series:
        """Daily returns by the 00:00 UTC that ends each day, as empyrical and quantstats take them.

        Time-weighted: deposits and withdrawals do not count. A year has 365 of them.
        """
        frames, capital = self.result.frames, self.result.identity.capital
        series = daily(stamps(frames["equity"]), growth_of(frames, capital))
        series.attrs = {"units": {"return": "share"}, **self._identity}
        return series

    @cached_property
    def months(self) -> pd.DataFrame:
        """Return and profit groups by calendar month."""
        frame = pd.DataFrame(self.summary["months"])
        units = dict.fromkeys(frame.columns, self._currency) | {"month": "", "return": "share"}
        frame.attrs = {"units": units, **self._identity}
        return frame

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """Every check of the data and gate of the run: status, figure, limit and message."""
        names = ["place", "check", "status", "measured", "limit", "unit", "message"]
        rows = [[getattr(verdict, name) for name in names] for verdict in self.judged]
        frame = pd.DataFrame(rows, columns=names)
        frame.attrs = self._identity
        return frame

    def plot(self, *, dark: bool = False) -> "go.Figure":
        """Return the tear sheet's chart of equity, benchmarks and drawdown."""
        from basis_pipeline.reports.plot_theme import with_colours
        from basis_pipeline.reports.run_charts import equity_chart
        from basis_pipeline.reports.run_view import RunView

        chart = equity_chart(RunView(self.result))
        return with_colours(chart.figure, dark=dark).update_layout(height=chart.height)

    def save(self, directory: str | Path) -> Path:
        """Write the run as `basis backtest --out` does, all of it or nothing; return its directory.

        Raises
        ------
        ResultsError: RS-001 when it cannot be written, or holds something other than a run.
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
        """Return a copy of a table, with the units and meanings of its columns."""
        frame = self.result.frames[table].copy()
        names, asset = [str(name) for name in frame.columns], self.config["mode"]["asset"]
        columns = explained(table, names, currency=self._currency, asset=asset)
        units = {name: column.unit for name, column in columns.items()}
        meanings = {name: column.meaning for name, column in columns.items()}
        frame = frame.set_index("timestamp")
        del units["timestamp"], meanings["timestamp"]
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
    start, end: first and last hour, UTC, both included; a date means its 00:00.
    capital: before entry costs, in the share class's currency; else the share class's own.
    data_dir: directory of the raw files.
    overrides: dotted keys of the mode and their values, as `**{"allocation.spot": 0.4}`; a mapping
        is replaced as a whole.

    Raises
    ------
    ConfigError: an unknown mode (CONFIG-007) or key (CONFIG-010), a value that does not fit.
    DataError: a feed that is absent, rejected or too short. BacktestError, MathError: a run that
        cannot be carried out, or does not reconcile.
    """
    data, window = _source(start, end, data_dir)
    configs = load_configs(config_directory())
    judged = judged_backtest(configs, mode, data, window, capital=capital, overrides=overrides)
    _show(judged.verdicts)
    return Run(judged.result, tuple(judged.verdicts))


def sweep(
    mode: str,
    keys: Mapping[str, Any] | str,
    *,
    start: str | date | None = None,
    end: str | date | None = None,
    capital: float | None = None,
    data_dir: str | Path | None = None,
    **overrides: Any,
) -> pd.DataFrame:
    """Run every combination of the keys' values, without Dagster.

    Verdicts of the sweep and of its data that are not PASS are printed on stderr.

    Parameters
    ----------
    keys: dotted keys of the mode and their values, as `{"allocation.spot": [0.4, 0.5]}`, or as a
        range of a scenario set's file; or the name of a set of `configs/scenarios/`.
    start, end, capital, data_dir, overrides: as for `backtest`.

    Returns
    -------
    One row per point: its keys, `status` (empty, or the code of its error) and its figures.

    Raises as `backtest`; ConfigError: CONFIG-003 no such set, CONFIG-005 values that fit no key.
    """
    if isinstance(keys, str):
        scenarios = load_scenario_set(set_file(config_directory(), keys))
    else:
        scenarios = validate(ScenarioSet, _grid(keys), "the keys of the sweep")
    data, window = _source(start, end, data_dir)
    configs = load_configs(config_directory())
    load = Feeds(configs, data).datasets
    study = study_of(configs, mode, scenarios, load, window, capital=capital, overrides=overrides)
    with tempfile.TemporaryDirectory() as place:
        run_sweep(study, Path(place))
        rows: pd.DataFrame = read_rows(study, Path(place)).to_pandas()
    _show([*study.verdicts, *scenario_checks(rows, scenarios)])
    rows = rows.set_index("index")
    currency = study.slice_of({}).share_class.share_class
    rows.attrs = {"units": figure_units(currency=currency), "mode": mode}
    return rows


def walk_forward(
    mode: str,
    plan: Mapping[str, Any] | None = None,
    *,
    start: str | date | None = None,
    end: str | date | None = None,
    capital: float | None = None,
    data_dir: str | Path | None = None,
    **overrides: Any,
) -> Walked:
    """Choose a point on each train window and evaluate it on the test window after it.

    Verdicts of the walk-forward and of its data that are not PASS are printed on stderr.

    Parameters
    ----------
    plan: fields that replace those of the mode's file in `configs/walk_forward/`, as
        `{"train_days": 60}`.
    start, end, capital, data_dir, overrides: as for `backtest`.

    Returns
    -------
    `points`, one row per point of the grid over the whole window; `folds`, one row per pair of
    windows with its choice and figures; `chosen`, the row of `points` chosen on the whole window.

    Raises as `backtest`; ConfigError: CONFIG-003 no plan of the mode, CONFIG-005 a field that does
    not fit, CONFIG-011 a window too short for train and test.
    """
    configs = load_configs(config_directory())
    own = load_walk_forward(config_directory(), configs, mode).model_dump(mode="json")
    chosen = validate(WalkForward, {**own, **(plan or {})}, "the walk-forward plan")
    data, window = _source(start, end, data_dir)
    scenarios, load = scenario_set(chosen, window), Feeds(configs, data).datasets
    study = study_of(configs, mode, scenarios, load, window, capital=capital, overrides=overrides)
    with tempfile.TemporaryDirectory() as place:
        run_sweep(study, Path(place))
        walked = walk(chosen, study, Path(place))
    _show([*study.verdicts, *walk_forward_checks(walked)])
    return walked


def load_run(run: str | Path, *, results_dir: str | Path | None = None) -> Run:
    """Load a recorded run and check every file against its hash.

    Parameters
    ----------
    run: the directory of a run; a mode, for its latest recorded run; or a run's identity or unique
        prefix of it.
    results_dir: directory of the results; else `BASIS_RESULTS_DIR`.

    Raises
    ------
    ResultsError: RS-002 when there is no such run, with those available; RS-003 when a file is
        missing or differs.
    """
    url = load_settings(results_dir=results_dir).results_db_url
    directory = directory_of(url, str(run))
    return Run(read_run(directory), tuple(read_verdicts(directory)))


def compare(*runs: Run) -> pd.DataFrame:
    """Compare runs side by side: first every figure, then every difference.

    Returns
    -------
    One column per run, named by its mode, and also by its identity where two runs share a mode.
    Rows by (`part`, `name`): part `figure`, numbers; then `configuration`, `data` (first digits of
    the hashes) and `run` (window, capital, engine), texts, only those that are not equal in all
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
    """Return the differences by part and override name; a dash where a run has no value."""
    rows = {
        (part, what.removeprefix("mode.")): values
        for part, found in differences(results).items()
        for what, values in found.items()
    }
    columns = [result.run_id for result in results]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    if len(frame):
        frame.index = pd.MultiIndex.from_tuples(frame.index, names=["part", "name"])
    return frame


def _names(runs: tuple[Run, ...]) -> list[str]:
    modes = [run.mode for run in runs]
    return [run.mode if modes.count(run.mode) == 1 else f"{run.mode} {run.run_id}" for run in runs]


def _shared_units(runs: tuple[Run, ...]) -> dict[str, str]:
    """Return the unit of each figure; where the runs' currencies differ, all units."""
    return {
        name: " | ".join(dict.fromkeys(run.figures.attrs["units"][name] for run in runs))
        for name in FIGURES
    }


def _source(
    start: str | date | None, end: str | date | None, data_dir: str | Path | None
) -> tuple[Path, Window]:
    """Return data directory and window, from the environment where they are not given."""
    first, last = (None if bound is None else str(bound) for bound in (start, end))
    settings = load_settings(data_dir=data_dir, data_start_date=first, data_end_date=last)
    span = (pd.Timestamp(settings.data_start_date), pd.Timestamp(settings.data_end_date))
    return settings.data_dir, Window(*span)


def _show(verdicts: Iterable[Verdict]) -> None:
    for verdict in verdicts:
        if not verdict.passed:
            print(f"{verdict.status.value}  {verdict.name}: {verdict.message}", file=sys.stderr)


def _grid(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return a scenario set of all combinations of the keys' values."""
    axes = {k: v if isinstance(v, Mapping) else {"values": list(v)} for k, v in keys.items()}
    return {"name": "grid", "description": "", "sampling": {"method": "grid"}, "keys": axes}
