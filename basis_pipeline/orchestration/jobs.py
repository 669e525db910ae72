"""Jobs: the whole pipeline, its layers, studies, requests, fetches, health and upkeep."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from basis_pipeline.config import Configs
from basis_pipeline.config.automation import load_automation_limits
from basis_pipeline.operations.upkeep import keep_up
from basis_pipeline.orchestration.assets.config import CATALOGUE
from basis_pipeline.orchestration.assets.requests import REQUESTS_JOB
from basis_pipeline.orchestration.assets.studies import study_key
from basis_pipeline.orchestration.control import CONTROL
from basis_pipeline.orchestration.failures import RETRIES, coded_failures
from basis_pipeline.orchestration.groups import ACCOUNTS, FETCH
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.settings import config_directory

HEALTH_JOB = "observe_health"  # the asset itself is called health
UPKEEP_JOB = "upkeep"
SWEEP_JOB = "sweeps"
FETCH_JOB = "fetch"
ACCOUNTS_JOB = "accounts"


@dg.op(retry_policy=RETRIES, description="Back up the results store, then prune it.")
def upkeep_of_the_store(context: dg.OpExecutionContext, options: RunOptions) -> None:
    """Back up the store, and prune it to the limits of `automation/limits.yaml`."""
    with coded_failures():
        limits = load_automation_limits(config_directory()).upkeep
        kept = keep_up(options.settings, limits)
    context.add_output_metadata(
        {
            "backup": dg.MetadataValue.path(kept.backup),
            "bytes": kept.backup.stat().st_size,
            "runs_removed": [record.run_id for record in kept.runs],
            "signals_removed": kept.signals,
        }
    )


@dg.job(
    name=UPKEEP_JOB,
    description="Back up the results store, then remove old runs and signals.",
)
def upkeep_job() -> None:
    """Run the upkeep of the results store."""
    upkeep_of_the_store()


def all_jobs(configs: Configs, accounts: Sequence[str]) -> list[Any]:
    """Return every asset job. A job of mode assets runs one mode per run: its partition.

    Dagster does not export the type that `define_asset_job` returns.
    """
    groups, assets = dg.AssetSelection.groups, dg.AssetSelection.assets
    catalogue, reports = assets(CATALOGUE), groups("report")
    market = groups("raw", "dataset") | catalogue
    modes = groups("config", "market", "backtest", "results") - catalogue
    health = groups("health") | assets(CONTROL)
    jobs = (
        ("full_pipeline", market | modes | reports, "Everything for one mode: files to pages."),
        ("ingest", groups("raw"), "Every raw feed as delivered."),
        ("datasets", market, "Raw feeds and the datasets built from them, with their checks."),
        ("backtests", modes, "Configuration, panel, backtest and record of one mode."),
        ("reports", reports, "The tear sheet of one mode, and the pages on all modes."),
        ("stress_tests", assets(study_key("stress")), "Shocks and replayed crises of one mode."),
        ("montecarlo_paths", assets(study_key("montecarlo")), "Bootstrapped paths of one mode."),
        (SWEEP_JOB, assets(study_key("sweep")), "Thousands of parameter sets of one mode."),
        (
            "walk_forwards",
            assets(study_key("walk_forward")),
            "Parameters chosen on train windows and judged on the test windows after them.",
        ),
        (REQUESTS_JOB, groups("request"), "Serve backtest requests from the queue, in order."),
        (HEALTH_JOB, health, "Check every component and the state of emergency control."),
    )
    made = [dg.define_asset_job(name, what, description=text) for name, what, text in jobs]
    if any(config.source for config in configs.datasets.values()):
        text = "Fetch the missing files of a month, for each feed that has a source."
        made.append(dg.define_asset_job(FETCH_JOB, groups(FETCH), description=text))
    if accounts:
        text = "An account up to the current hour: fetch, run, signal, page."
        made.append(dg.define_asset_job(ACCOUNTS_JOB, groups(ACCOUNTS), description=text))
    return made
