"""One backtest from the raw files to a stored result: load, panel, run, judge, keep.

The library, `basis backtest` and the requests call `judged_backtest`; the asset graph calls the
same functions, one asset at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from basis_pipeline.backtests.backtest import capital_of, run_backtest
from basis_pipeline.backtests.benchmarks import benchmark_names, benchmark_table
from basis_pipeline.backtests.checks import BLOCKING, backtest_checks
from basis_pipeline.backtests.ingest import Feeds, parameter_files
from basis_pipeline.config import Configs, ModeSlice, slice_mode
from basis_pipeline.errors import BacktestError, DataError
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.panel import Panel
from basis_pipeline.market.quality import rejected_verdicts
from basis_pipeline.market.risk_parameters import RISK_NOT_UNDERSTATED
from basis_pipeline.market.window import Window
from basis_pipeline.results.origin import Origin, write_origin
from basis_pipeline.results.store import RunResult, write_run
from basis_pipeline.verdict import Verdict, failing

SHOWN = 4


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """A finished run, its panel, the verdicts on its data and its result, and its origin."""

    result: RunResult
    panel: Panel
    verdicts: list[Verdict]
    origin: Origin | None = None

    def write(self, directory: Path) -> Path:
        """Write the run and its `verdicts.json`, all of it or nothing, then its origin.

        Raises
        ------
        ResultsError: as `write_run`.
        """
        written = write_run(self.result, directory, self.verdicts)
        if self.origin is not None:
            write_origin(written, self.origin)
        return written


def judged_backtest(
    configs: Configs,
    mode: str,
    data_dir: Path,
    window: Window,
    *,
    capital: float | None = None,
    overrides: Mapping[str, Any] | None = None,
    run_id: str = "",
) -> JudgedRun:
    """Backtest one mode straight from the raw files, without Dagster, and judge the result.

    It rejects what the asset graph would not compute or record.

    Parameters
    ----------
    capital: in the share class's currency; its initial capital when not given.
    overrides: dotted key of the mode → value.
    run_id: the Dagster run that serves a request.

    Raises
    ------
    ConfigError, DataError: as slicing, reading and building raise them. BacktestError, MathError:
        as `run_backtest`; BT-001 a failing check of the data, BT-002 a result that does not
        reconcile, repeat or equal its closed form.
    """
    mode_slice = slice_mode(configs, mode, overrides)
    invested = capital_of(mode_slice, capital)
    benchmarks = benchmark_names(mode_slice, configs)
    feeds = Feeds(configs, data_dir)
    return judged_slice(mode_slice, feeds, window, invested, benchmarks, run_id=run_id)


def judged_slice(
    mode_slice: ModeSlice,
    feeds: Feeds,
    window: Window,
    capital: float,
    benchmarks: Mapping[str, str],
    *,
    run_id: str = "",
) -> JudgedRun:
    """Backtest a slice on feeds that other runs share, and judge the result.

    Parameters
    ----------
    benchmarks: name → dataset, of those to show beside the run.

    Raises
    ------
    As `judged_backtest`.
    """
    configs, mode = feeds.configs, mode_slice.name
    parameters = parameter_files(configs, mode_slice)
    names = sorted({*mode_slice.datasets, *benchmarks.values(), *parameters})
    datasets = feeds.datasets(names, window)
    of_data = {name: _data_verdicts(configs, name, datasets[name]) for name in names}
    panel = feeds.panel(mode_slice, window)
    required = [v for name in mode_slice.datasets for v in of_data[name]]
    required += [v for name in parameters for v in of_data[name] if v.check == RISK_NOT_UNDERSTATED]
    _require_passing_data(mode, required)
    table = benchmark_table(benchmarks, datasets, window)
    result = run_backtest(mode_slice, panel, window, capital, table)
    gates = backtest_checks(result, mode_slice, panel)
    _require_sound_result(mode, gates)
    verdicts = [*(verdict for name in names for verdict in of_data[name]), *gates]
    now = datetime.now(UTC)
    judged = [v.at(evaluated_at=now, run_id=run_id) for v in verdicts]
    return JudgedRun(result, panel, judged, Origin.of(feeds.data_dir))


def _data_verdicts(configs: Configs, name: str, outcome: Dataset | DataError) -> list[Verdict]:
    if isinstance(outcome, Dataset):
        verdicts = outcome.verdicts
    else:
        verdicts = rejected_verdicts(configs.datasets[name], outcome)
    return [verdict.at(asset=f"dataset/{name}") for verdict in verdicts]


def _require_passing_data(mode: str, verdicts: list[Verdict]) -> None:
    failed = [verdict for verdict in failing(verdicts) if verdict.severity == "ERROR"]
    if failed:
        messages = [f"{verdict.name} fails: {verdict.message}" for verdict in failed[:SHOWN]]
        what = f"the backtest of {mode} does not run: {'; '.join(messages)}"
        raise BacktestError("BT-001", what, where=", ".join({v.asset: None for v in failed}))


def _require_sound_result(mode: str, gates: list[Verdict]) -> None:
    failed = [gate for gate in failing(gates) if gate.check in BLOCKING]
    if failed:
        what = "; ".join(f"{gate.check}: {gate.message}" for gate in failed)
        raise BacktestError("BT-002", what, where=f"mode {mode}, {failed[0].check}")
