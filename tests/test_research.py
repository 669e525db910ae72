"""The Python interface as a notebook uses it: real files in, frames with units out."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest

from basis_pipeline.errors import ConfigError, ResultsError
from basis_pipeline.market.sample import write_sample
from basis_pipeline.research import Run, backtest, compare, load_run, sweep, walk_forward
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.definitions import FIGURES
from basis_pipeline.settings import load_settings, project_root

SPAN = {"start": "2024-01-03", "end": "2024-02-20"}
TABLES = ("equity", "attribution", "positions", "risk", "events")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write sixty days of sample data."""
    directory = tmp_path_factory.mktemp("research") / "data"
    write_sample(directory, days=60)
    return directory


@pytest.fixture(scope="module")
def base(data: Path) -> Run:
    """Run the BTC basis as in its file."""
    return backtest("btc_basis", data_dir=data, **SPAN)


@pytest.fixture(scope="module")
def less(data: Path) -> Run:
    """Run the same with less spot and another capital."""
    return backtest("btc_basis", data_dir=data, capital=5e4, **SPAN, **{"allocation.spot": 0.4})


def test_every_frame_says_its_units(base: Run) -> None:
    """A column without a unit would be read in the wrong one."""
    for table in TABLES:
        frame = getattr(base, table)
        assert list(frame.attrs["units"]) == list(frame.columns)
        assert frame.attrs["run_id"] == base.run_id
        pd.testing.assert_frame_equal(frame.reset_index(), base.result.frames[table])
        assert frame.index.tz is not None
    assert base.equity.attrs["units"]["equity"] == "USDT"
    assert base.months.attrs["units"]["return"] == "share"


def test_writing_to_a_frame_leaves_the_run_alone(base: Run) -> None:
    """A column added in a notebook must not get into what is saved."""
    base.equity["note"] = 1.0
    assert "note" not in base.result.frames["equity"]
    del base.equity["note"]


def test_figures_are_those_of_the_summary(base: Run) -> None:
    """The series is the summary, with NaN for what is not defined."""
    assert base.figures["apy"] == base.summary["apy"]
    assert base.figures["final_equity"] == base.equity["equity"].iloc[-1]
    assert base.summary["min_health_factor"] is None
    assert pd.isna(base.figures["min_health_factor"])
    assert base.figures.attrs["units"]["apy"] == "share"


def test_returns_are_what_empyrical_and_quantstats_take(base: Run) -> None:
    """Their figures of the series are those of the run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import empyrical
        import quantstats.stats as quantstats
    returns = base.returns
    assert len(returns) == 48
    theirs = {
        "total_return": empyrical.cum_returns_final(returns),
        "apy": empyrical.annual_return(returns, annualization=365),
        "volatility": empyrical.annual_volatility(returns, annualization=365),
        "sharpe": empyrical.sharpe_ratio(returns, annualization=365),
        "sortino": empyrical.sortino_ratio(returns, annualization=365),
    }
    assert base.figures[list(theirs)].to_dict() == pytest.approx(theirs, rel=1e-9)
    assert quantstats.sharpe(returns, 0, 365) == pytest.approx(base.summary["sharpe"], rel=1e-9)
    # The drawdown of a run is hourly, and so is Calmar's; both say so on hover.
    assert base.figures["max_drawdown"] >= -empyrical.max_drawdown(returns)
    assert base.figures["calmar"] <= empyrical.calmar_ratio(returns, annualization=365)
    for name in ("max_drawdown", "calmar"):
        assert "libraries that see daily returns alone" in FIGURES[name].description


@pytest.mark.parametrize("dark", [False, True])
def test_a_run_is_drawn_without_a_page(base: Run, dark: bool) -> None:
    """A figure with the equity and colours of its own."""
    drawn = base.plot(dark=dark)
    assert "var(--" not in drawn.to_json()
    names = [trace.name for trace in drawn.data]
    (own,) = (trace for trace in drawn.data if trace.name == "this run" and trace.yaxis == "y")
    assert own.y[-1] == pytest.approx(base.figures["final_equity"])
    assert "the same money in lending" in names


def test_a_sweep_is_the_runs_of_its_points(data: Path, base: Run, less: Run) -> None:
    """Every combination, each with the figures of a run by itself; nothing else than a frame."""
    keys = {"allocation.spot": [0.4, 0.5], "capital": [5e4, 1e5]}
    rows = sweep("btc_basis", keys, data_dir=data, **SPAN)
    by_keys = rows.set_index(list(keys))
    assert len(rows) == 4
    for point, run in {(0.5, 1e5): base, (0.4, 5e4): less}.items():
        own = by_keys.loc[point, ["total_return", "max_drawdown", "closed_equity"]]
        assert own.to_dict() == pytest.approx(run.figures[list(own.index)].to_dict(), rel=1e-12)
    assert rows.attrs["units"]["closed_equity"] == "USDT"


def test_a_sweep_of_no_key_names_those_there_are(data: Path) -> None:
    """As a backtest does."""
    with pytest.raises(ConfigError) as raised:
        sweep("btc_basis", {"allocation.spott": [0.4]}, data_dir=data, **SPAN)
    assert raised.value.code == "CONFIG-010"
    with pytest.raises(ConfigError) as raised:
        sweep("btc_basis", "no_such_set", data_dir=data, **SPAN)
    assert raised.value.code == "CONFIG-003"


def test_a_walk_forward_takes_fields_of_the_plan(data: Path) -> None:
    """A pair of windows, the choice on the first, and what it did on the second."""
    axis = {"allocation.spot": {"values": [0.4, 0.5]}}
    plan = {"keys": axis, "train_days": 30, "test_days": 10, "objective": "total_return"}
    walked = walk_forward("btc_basis", plan, data_dir=data, **SPAN)
    assert len(walked.folds) == 1
    assert len(walked.points) == 2
    assert walked.folds["allocation.spot"].isin([0.4, 0.5]).all()
    with pytest.raises(ConfigError) as raised:
        walk_forward("btc_basis", {"train_dais": 30}, data_dir=data, **SPAN)
    assert raised.value.code == "CONFIG-005"


def test_overrides_and_capital_reach_the_run(base: Run, less: Run) -> None:
    """What is asked for is what is run, and another request is another run."""
    assert less.run_id != base.run_id
    assert less.config["mode"]["allocation"]["spot"] == 0.4
    assert less.summary["capital"] == 5e4


def test_a_date_and_its_text_are_the_same_bound(data: Path, base: Run) -> None:
    """Notebooks hold dates as texts, dates or stamps."""
    start, end = pd.Timestamp("2024-01-03"), pd.Timestamp("2024-02-20").date()
    assert backtest("btc_basis", data_dir=data, start=start, end=end).run_id == base.run_id


def recorded(run: Run, results: Path) -> Path:
    """Keep a run in a results directory and its database."""
    directory = run.save(results / "runs" / run.run_id)
    assert Archive(results, load_settings(results_dir=results).results_db_url).start().added
    return directory


def test_a_saved_run_is_loaded_as_it_was(base: Run, tmp_path: Path) -> None:
    """By its directory, its identity, the beginning of that, and as the latest of its mode."""
    directory = recorded(base, tmp_path)
    names = (base.run_id, base.run_id[:6], "btc_basis")
    for loaded in (load_run(directory), *(load_run(name, results_dir=tmp_path) for name in names)):
        assert loaded.run_id == base.run_id
        pd.testing.assert_frame_equal(loaded.events, base.events)
        pd.testing.assert_series_equal(loaded.figures, base.figures)


def test_a_run_that_is_not_there_is_told_what_is(base: Run, tmp_path: Path) -> None:
    """A mistyped identity is answered with those there are."""
    recorded(base, tmp_path)
    with pytest.raises(ResultsError) as raised:
        load_run("0123456789abcdef", results_dir=tmp_path)
    assert raised.value.code == "RS-002"
    assert base.run_id in raised.value.available


def test_a_misspelt_argument_is_told(data: Path) -> None:
    """What is no argument is a key of the mode, and there is none of that name."""
    with pytest.raises(ConfigError) as raised:
        backtest("btc_basis", data_dir=data, captial=5.0)
    assert raised.value.code == "CONFIG-010"


def test_compare_tells_figures_and_what_differs(base: Run, less: Run) -> None:
    """Two runs of one mode are told apart by identity; only what differs is listed."""
    frame = compare(base, less)
    assert list(frame.columns) == [f"btc_basis {run.run_id}" for run in (base, less)]
    assert frame.loc[("figure", "apy")].tolist() == [base.summary["apy"], less.summary["apy"]]
    unequal = frame.drop(index="figure", level="part")
    assert set(unequal.index) == {("configuration", "allocation.spot"), ("run", "capital")}
    assert unequal.loc[("configuration", "allocation.spot")].tolist() == ["0.5", "0.4"]
    assert frame.attrs["units"]["final_equity"] == "USDT"
    assert set(compare(base).index.get_level_values("part")) == {"figure"}


def test_compare_names_runs_of_several_modes_by_mode(base: Run, data: Path) -> None:
    """An ETH mode beside a USDT mode: the unit of an amount is that of its run."""
    frame = compare(base, backtest("pure_lending_eth", data_dir=data, **SPAN))
    assert list(frame.columns) == ["btc_basis", "pure_lending_eth"]
    assert frame.attrs["units"]["final_equity"] == "USDT | ETH"
    assert ("data", "bybit_btcusdt_perp") in frame.index
    assert not any(name.startswith("datasets.") for _, name in frame.index)


def test_compare_without_a_run_is_refused() -> None:
    """An empty table would look like agreement."""
    with pytest.raises(ValueError, match="needs a run"):
        compare()


def test_the_interface_needs_no_dagster() -> None:
    """A notebook starts in the time of pandas and numba alone."""
    heavy = ("dagster", "plotly", "typer")
    code = f"import sys, basis_pipeline.research; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=project_root()
    )
    assert done.stdout.strip() == "[]"


def test_the_command_and_the_function_give_the_same_run(base: Run, tmp_path: Path) -> None:
    """What is saved from a notebook is what `basis backtest` writes."""
    summary = json.loads((base.save(tmp_path / "run") / "summary.json").read_bytes())
    assert summary["run_id"] == base.run_id
    assert {file.name for file in (tmp_path / "run").iterdir()} >= {f"{t}.parquet" for t in TABLES}
