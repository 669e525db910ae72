"""The asset graph end to end, on sample data and a real instance."""

import json

import dagster as dg
import pandas as pd
from sqlalchemy import Engine

from basis_pipeline.config.current import current_configs
from basis_pipeline.operations.upkeep import prune
from basis_pipeline.orchestration.assets.report import COMPARISON
from basis_pipeline.orchestration.failures import failures
from basis_pipeline.orchestration.launch import PipelineOutcome
from basis_pipeline.orchestration.records import all_gates
from basis_pipeline.results.database.migration import existing
from basis_pipeline.results.database.runs import rows_of, run, runs, verify
from basis_pipeline.results.database.tables import GATE_VERDICTS
from basis_pipeline.results.store import read_run, read_verdicts
from basis_pipeline.verdict import Status, counts, failing
from tests.orchestration.conftest import Place, events_of


def database(place: Place) -> Engine:
    """Return the results database of a place."""
    engine = existing(f"sqlite:///{place.results}/runs.sqlite")
    assert engine is not None
    return engine


def test_all_modes_come_through(outcome: PipelineOutcome, shared_place: Place) -> None:
    """Every mode has a run that can be read back, a tear sheet and verdicts of its own run."""
    assert [mode.mode for mode in outcome.modes] == list(current_configs().modes)
    assert all(mode.run_id for mode in outcome.modes), [m.problems for m in outcome.modes]
    assert failing(outcome.gates) == []
    assert outcome.problems == []
    runs_of_modes = {g.mode: g.run_id for g in outcome.gates if g.check == "reconciliation"}
    assert len(set(runs_of_modes.values())) == len(outcome.modes)
    engine, reports = database(shared_place), shared_place.results / "reports"
    comparison = (reports / "comparison.html").read_text("utf-8")
    for mode in outcome.modes:
        assert mode.run_id is not None
        verify(run(engine, mode.run_id))
        directory = shared_place.results / "runs" / mode.run_id
        assert read_run(directory).mode == mode.mode
        assert json.loads((directory / "summary.json").read_bytes())["final_equity"] > 0
        rows = rows_of(engine, GATE_VERDICTS, [mode.run_id])
        stored = {(row["asset"], row["check_name"]): row["status"] for row in rows}
        own = [g for g in outcome.gates if g.mode == mode.mode]
        read = {name for name, _ in stored if name.startswith("dataset/")}
        assert read >= {f"dataset/{name}" for name in read_run(directory).config["datasets"]}
        gates = [*own, *(g for g in outcome.gates if g.asset in read)]
        assert stored == {(g.asset, g.check): g.status.value for g in gates}
        assert (reports / f"{mode.mode}.html").exists()
        assert f"{mode.mode}.html" in comparison


def test_every_gate_was_evaluated(outcome: PipelineOutcome, shared_place: Place) -> None:
    """A full run leaves no check unevaluated, those of the platform included."""
    found = all_gates(shared_place.instance, shared_place.defs)
    assert [gate.name for gate in found if gate.status is Status.NOT_RUN] == []
    gates = [gate for gate in found if gate.phase <= 3]
    assert {gate.name for gate in gates} == {gate.name for gate in outcome.gates}


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
    result = _latest(shared_place, "report/gates")
    found = counts(all_gates(shared_place.instance, shared_place.defs))
    assert {status: result[f"gates_{status.name.lower()}"] for status in found} == found
    page = (shared_place.results / "reports" / "gates.html").read_text("utf-8")
    assert f"<b>{found[Status.PASS]}</b>" in page
    assert all(mode.mode in page for mode in outcome.modes)


def test_the_data_audit_shows_every_family(outcome: PipelineOutcome, shared_place: Place) -> None:
    """What was ingested is audited over the window of the run, with numbers to plot."""
    assert outcome.modes
    result = _latest(shared_place, "report/data_audit")
    assert result["feeds_pass"] + result["feeds_warn"] == len(current_configs().datasets)
    assert result["repaired_rows"] > 0
    page = (shared_place.results / "reports" / "data_audit.html").read_text("utf-8")
    assert all(name in page for name in current_configs().datasets)


NUMBERS = {
    "raw/bybit_btcusdt_perp": ("dagster/row_count", "age_days", "bytes"),
    "dataset/binance_btcusdt_perp": ("own_share", "repaired_rows"),
    "market/panel": ("repaired_hours", "repaired_share"),
    "backtest/simulation": ("final_equity", "apy", "max_abs_residual", "simulation_seconds"),
    "results/record": ("final_equity", "apy", "bytes"),
}


def test_numbers_plots_and_tables_are_recorded(
    outcome: PipelineOutcome, shared_place: Place
) -> None:
    """Over the nights Dagster plots equity, yield, residual, rows, age and duration."""
    assert outcome.modes
    for key, numbers in NUMBERS.items():
        of_a_mode = not key.startswith(("raw", "dataset"))
        metadata = _latest(shared_place, key, "btc_basis" if of_a_mode else None)
        assert all(isinstance(metadata[name], int | float) for name in numbers), metadata.keys()
    metadata = _latest(shared_place, "backtest/simulation", "btc_basis")
    assert str(metadata["equity"]).startswith("![equity](data:image/png;base64,iVBOR")
    assert len(metadata["attribution"].records) == 10  # type: ignore[attr-defined]


def test_running_again_adds_nothing_and_other_options_another_run(ran: Place) -> None:
    """The same run has the same identity; window, capital and overrides make another one."""
    stored = sorted((ran.results / "runs").rglob("*"))
    assert ran.run_mode("pure_lending") == []
    assert sorted((ran.results / "runs").rglob("*")) == stored
    assert len(runs(database(ran))) == 2
    options = {"capital": 5000.0, "overrides": ["costs.enabled=false"], "end": "2024-02-10"}
    before = ran.instance.get_runs_count()
    other = ran.run("pure_lending", **options).modes[0].run_id
    (data, *_) = ran.instance.get_runs(limit=ran.instance.get_runs_count() - before)[::-1]
    read = {key.path[-1] for key in data.asset_selection or ()}
    assert "aave_usdt_rates" in read
    assert "okx_ethusdt_perp" not in read  # of modes that are not run
    result = read_run(ran.results / "runs" / str(other))
    assert len(runs(database(ran))) == 3
    assert result.identity.capital == 5000.0
    assert result.config["mode"]["costs"]["enabled"] is False
    assert result.identity.end == pd.Timestamp("2024-02-10", tz="UTC")


def test_a_pruned_run_is_left_out_of_the_comparison(ran: Place) -> None:
    """Many requests of a mode may push its nightly run out; the other modes are still compared."""
    settings = ran.request().settings
    engine = existing(settings.results_db_url)
    assert engine is not None
    prune(settings, [record for record in runs(engine) if record.mode == "btc_basis"])
    made = ran.execute(COMPARISON)
    assert made.success
    (page,) = made.asset_materializations_for_node("report__comparison")
    left_out = str(page.metadata["left_out"].value).split(", ")
    assert "btc_basis" in left_out
    assert "pure_lending" not in left_out


def test_verdicts_belong_to_the_run_they_were_given_to(ran: Place) -> None:
    """A run that failed keeps its failure after another one of its mode passed; it is a risk."""
    asked = "gates.max_drawdown=0.00001"
    (plain,) = (r.run_id for r in runs(database(ran)) if r.mode == "btc_basis")
    assert ran.run_mode("btc_basis", overrides=[asked]) == []
    (strict,) = {r.run_id for r in runs(database(ran)) if r.mode == "btc_basis"} - {plain}
    result = events_of(ran, "configuration_used", mode="btc_basis")
    (used,) = (event for event in result if event.fields["overrides"] == asked)
    breached = events_of(ran, "limit_breached", run_id=used.run_id)
    assert "drawdown_limit" in {event.fields["limit"] for event in breached}
    assert {(event.category, event.mode) for event in breached} == {("risk", "btc_basis")}
    assert ran.run_mode("btc_basis") == []
    of_strict, of_plain = (
        {verdict.check: verdict.status for verdict in read_verdicts(ran.results / "runs" / r)}
        for r in (strict, plain)
    )
    assert of_strict["drawdown_limit"] is Status.FAIL
    assert of_plain["drawdown_limit"] is Status.PASS
    assert of_plain.keys() >= {"reconciliation", "determinism", "inputs", "integrity"}
    page = (ran.results / "reports" / "btc_basis.html").read_text("utf-8")
    assert "GATE FAILED" not in page


def test_checks_can_be_executed_alone(ran: Place) -> None:
    """A check of a dataset can be evaluated again without making the dataset again."""
    key = dg.AssetCheckKey(dg.AssetKey(["dataset", "ethereum_gas"]), "order")
    job = dg.define_asset_job("again", dg.AssetSelection.checks(key)).resolve(
        asset_graph=ran.defs.resolve_asset_graph(),
        resource_defs=ran.defs.get_repository_def().get_top_level_resources(),
    )
    asked = {k: v for k, v in ran.request().model_dump().items() if v}
    config = {"resources": {"options": {"config": asked}}}
    result = job.execute_in_process(instance=ran.instance, run_config=config)
    assert [e.check_name for e in result.get_asset_check_evaluations()] == ["order"]
    assert result.get_asset_materialization_events() == []


def test_research_path_gives_the_same_run(outcome: PipelineOutcome, shared_place: Place) -> None:
    """With and without Dagster a backtest is the same: identity, tables and verdicts."""
    from basis_pipeline.backtests.judged import judged_backtest

    mode, request = "usdt_market_neutral", shared_place.request()
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
    ((step, problem),) = failures(place.execute(job="backtests").all_events)
    assert step == "config__mode"
    assert "API-001" in str(problem)
    assert "dagster/partition" in str(problem)
