"""The asset graph end to end, on sample data and a real instance."""

import json

import dagster as dg
import pandas as pd
import pytest
from sqlalchemy import Engine

from basis_pipeline.orchestration.assets.backtest import SIMULATION
from basis_pipeline.orchestration.assets.report import COMPARISON
from basis_pipeline.orchestration.failures import failures
from basis_pipeline.orchestration.launch import OF_A_MODE, PipelineOutcome
from basis_pipeline.orchestration.records import all_gates
from basis_pipeline.orchestration.resources import current_configs
from basis_pipeline.results.database.migration import existing
from basis_pipeline.results.database.runs import rows_of, run, runs, verify
from basis_pipeline.results.database.tables import GATE_VERDICTS
from basis_pipeline.results.store import read_run, read_verdicts
from basis_pipeline.verdict import Status, counts, failing
from tests.orchestration.conftest import Place


def database(place: Place) -> Engine:
    """The results database of a place."""
    engine = existing(f"sqlite:///{place.results}/runs.sqlite")
    assert engine is not None
    return engine


def test_all_modes_come_through(outcome: PipelineOutcome) -> None:
    """A directory with every family gives a recorded run of every mode and no failed gate."""
    assert [mode.mode for mode in outcome.modes] == list(current_configs().modes)
    assert all(mode.run_id for mode in outcome.modes), [m.problems for m in outcome.modes]
    assert failing(outcome.gates) == []
    assert outcome.problems == []


def test_every_gate_was_evaluated(outcome: PipelineOutcome, shared_place: Place) -> None:
    """A full run leaves no check of phases 1 to 3 planned or forgotten, read again or at once."""
    found = all_gates(shared_place.instance, shared_place.defs)
    gates = [gate for gate in found if gate.phase <= 3]
    assert {gate.name for gate in gates} == {gate.name for gate in outcome.gates}
    assert [gate.name for gate in gates if gate.status is Status.NOT_RUN] == []


def test_checks_are_recorded_by_mode(outcome: PipelineOutcome) -> None:
    """Each mode has its own evaluation of the same check, from its own run."""
    runs = {g.mode: g.run_id for g in outcome.gates if g.check == "reconciliation"}
    assert set(runs) == {mode.mode for mode in outcome.modes}
    assert len(set(runs.values())) == len(runs)


def test_runs_are_in_the_store(outcome: PipelineOutcome, shared_place: Place) -> None:
    """What the graph records can be read back, verified, by its identity."""
    engine = database(shared_place)
    for mode in outcome.modes:
        assert mode.run_id is not None
        verify(run(engine, mode.run_id))
        directory = shared_place.results / "runs" / mode.run_id
        assert read_run(directory).mode == mode.mode
        summary = json.loads((directory / "summary.json").read_bytes())
        assert summary["final_equity"] > 0


def test_verdicts_are_kept_with_the_run(outcome: PipelineOutcome, shared_place: Place) -> None:
    """What was decided of a mode's gates when its run was recorded, by that run."""
    engine = database(shared_place)
    for mode in outcome.modes:
        kept = rows_of(engine, GATE_VERDICTS, [str(mode.run_id)])
        told = {f"{row['asset']}[{mode.mode}] {row['check_name']}": row["status"] for row in kept}
        gates = {g.name: g.status.value for g in outcome.gates if g.mode == mode.mode}
        assert told == gates
        assert {"PASS"} <= set(told.values())


def test_pages_are_written(outcome: PipelineOutcome, shared_place: Place) -> None:
    """Every mode has its tear sheet, and the comparison links to each."""
    reports = shared_place.results / "reports"
    comparison = (reports / "comparison.html").read_text("utf-8")
    for mode in outcome.modes:
        assert (reports / f"{mode.mode}.html").exists()
        assert f"{mode.mode}.html" in comparison


def _latest(place: Place, key: str, partition: str | None = None) -> dict[str, object]:
    """Values of the metadata of the latest materialisation."""
    asked = dg.AssetRecordsFilter(
        asset_key=dg.AssetKey(key.split("/")), asset_partitions=[partition] if partition else None
    )
    (record,) = place.instance.fetch_materializations(asked, limit=1).records
    assert record.asset_materialization is not None
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def test_the_gate_page_agrees_with_the_records(
    outcome: PipelineOutcome, shared_place: Place
) -> None:
    """The page, its metadata and the records count the same gates."""
    told = _latest(shared_place, "report/gates")
    found = counts(all_gates(shared_place.instance, shared_place.defs))
    assert {word: told[f"gates_{word.lower().replace(' ', '_')}"] for word in found} == found
    page = (shared_place.results / "reports" / "gates.html").read_text("utf-8")
    assert f"<b>{found[Status.PASS]}</b>" in page
    assert all(mode.mode in page for mode in outcome.modes)


def test_the_data_audit_shows_every_family(outcome: PipelineOutcome, shared_place: Place) -> None:
    """What was ingested is audited over the window of the run, with numbers to plot."""
    assert outcome.modes
    told = _latest(shared_place, "report/data_audit")
    assert told["feeds_pass"] + told["feeds_warn"] == len(current_configs().datasets)
    assert told["repaired_rows"] > 0
    page = (shared_place.results / "reports" / "data_audit.html").read_text("utf-8")
    assert all(name in page for name in current_configs().datasets)


@pytest.mark.parametrize(
    ("key", "partition", "numbers"),
    [
        ("raw/bybit_btcusdt_perp", None, ("dagster/row_count", "age_days", "bytes")),
        ("dataset/binance_btcusdt_perp", None, ("own_share", "repaired_rows")),
        ("market/panel", "btc_basis", ("repaired_hours", "repaired_share")),
        (
            "backtest/simulation",
            "btc_basis",
            ("final_equity", "apy", "max_abs_residual", "simulation_seconds"),
        ),
        ("results/record", "btc_basis", ("final_equity", "apy", "bytes")),
    ],
)
def test_numbers_worth_plotting_are_recorded(
    key: str,
    partition: str | None,
    numbers: tuple[str, ...],
    outcome: PipelineOutcome,
    shared_place: Place,
) -> None:
    """Over the nights Dagster plots equity, yield, residual, rows, age and duration."""
    assert outcome.modes
    told = _latest(shared_place, key, partition)
    assert all(isinstance(told[name], int | float) for name in numbers), told.keys()


def test_the_gate_page_is_written_when_no_mode_comes_through(place: Place) -> None:
    """The night on which everything failed is the one whose gates people want to see."""
    (file,) = place.data.glob("protocol_data/aave/rates/*_USDT_rates_*.csv")
    file.unlink()
    refused = place.run("pure_lending")
    assert refused.modes[0].run_id is None
    page = (place.results / "reports" / "gates.html").read_text("utf-8")
    assert ">FAIL</span>" in page
    assert "DATA-001" in page.partition('id="warnings"')[0]


def test_backtest_shows_its_equity_and_tables(
    outcome: PipelineOutcome, shared_place: Place
) -> None:
    """The UI has a plot and tables of every mode's run."""
    assert outcome.modes
    for mode in current_configs().modes:
        records = shared_place.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=SIMULATION, asset_partitions=[mode]), limit=1
        ).records
        metadata = records[0].asset_materialization.metadata
        assert metadata["equity"].value.startswith("![equity](data:image/png;base64,iVBOR")
        assert isinstance(metadata["months"], dg.TableMetadataValue)
        assert len(metadata["attribution"].records) == 10


def test_running_again_adds_nothing(place: Place) -> None:
    """The same run has the same identity and leaves the store as it was."""
    first = place.run("pure_lending")
    stored = sorted((place.results / "runs").rglob("*"))
    again = place.run("pure_lending")
    assert first.modes[0].run_id == again.modes[0].run_id
    assert sorted((place.results / "runs").rglob("*")) == stored
    assert len(runs(database(place))) == 1


def test_overrides_window_and_capital_reach_the_run(place: Place) -> None:
    """What the request asks for is what is run, and another request is another run."""
    plain = place.run("pure_lending").modes[0].run_id
    asked = {"capital": 5000.0, "overrides": ["costs.enabled=false"], "end": "2024-02-10"}
    other = place.run("pure_lending", **asked).modes[0].run_id
    assert plain != other
    assert other is not None
    result = read_run(place.results / "runs" / other)
    assert result.identity.capital == 5000.0
    assert result.config["mode"]["costs"]["enabled"] is False
    assert result.identity.end == pd.Timestamp("2024-02-10", tz="UTC")


def test_only_the_families_a_mode_needs_are_read(place: Place) -> None:
    """One mode alone reads its own families, so that a broken one elsewhere does not matter."""
    place.run("pure_lending")
    landed = {path.stem for path in (place.results / "warehouse" / "raw").glob("*.parquet")}
    assert "aave_usdt_rates" in landed
    assert not {name for name in landed if name.endswith(("perp", "funding"))}


def test_main_job_runs_one_partition_whole(place: Place) -> None:
    """`full_pipeline` as the UI and `dagster job execute` launch it: everything for one mode."""
    job = place.defs.resolve_job_def("full_pipeline")
    asked = {k: v for k, v in place.request().model_dump().items() if v}
    config = {"resources": {"options": {"config": asked}}}
    result = job.execute_in_process(
        instance=place.instance, partition_key="btc_basis", run_config=config, raise_on_error=False
    )
    made = {event.asset_key for event in result.get_asset_materialization_events()}
    assert result.success
    assert {*OF_A_MODE, COMPARISON} <= made


def test_checks_can_be_executed_alone(shared_place: Place, outcome: PipelineOutcome) -> None:
    """A check of a dataset can be evaluated again without making the dataset again."""
    assert outcome.modes
    key = dg.AssetCheckKey(dg.AssetKey(["dataset", "ethereum_gas"]), "order")
    job = dg.define_asset_job("again", dg.AssetSelection.checks(key)).resolve(
        asset_graph=shared_place.defs.resolve_asset_graph(),
        resource_defs=shared_place.defs.get_repository_def().get_top_level_resources(),
    )
    asked = {k: v for k, v in shared_place.request().model_dump().items() if v}
    config = {"resources": {"options": {"config": asked}}}
    result = job.execute_in_process(instance=shared_place.instance, run_config=config)
    assert [e.check_name for e in result.get_asset_check_evaluations()] == ["order"]
    assert result.get_asset_materialization_events() == []


@pytest.mark.parametrize("mode", ["eth_basis", "usdt_market_neutral"])
def test_research_path_gives_the_same_run(
    mode: str, outcome: PipelineOutcome, shared_place: Place
) -> None:
    """With and without Dagster a backtest is the same: identity, tables and verdicts."""
    from basis_pipeline.runs.judged import judged_backtest

    request = shared_place.request()
    judged = judged_backtest(current_configs(), mode, shared_place.data, request.window)
    direct = judged.result
    (recorded,) = [m.run_id for m in outcome.modes if m.mode == mode]
    assert direct.run_id == recorded
    stored = read_run(shared_place.results / "runs" / direct.run_id)
    for name, frame in direct.frames.items():
        pd.testing.assert_frame_equal(frame, stored.frames[name])
    place, alone = "backtest/simulation", [v for v in judged.verdicts if v.mode]
    kept = read_verdicts(shared_place.results / "runs" / direct.run_id)
    in_graph = [v.at(evaluated_at=None, run_id="") for v in kept if v.asset == place]
    assert [v.at(evaluated_at=None) for v in alone] == in_graph


def test_a_run_without_a_mode_is_told_how_to_name_one(place: Place) -> None:
    """`dagster job execute` without a partition fails with words, not with a traceback."""
    job = place.defs.resolve_job_def("backtests")
    result = job.execute_in_process(instance=place.instance, raise_on_error=False)
    ((step, problem),) = failures(result)
    assert step == "config__mode"
    assert "API-001" in str(problem)
    assert "dagster/partition" in str(problem)
