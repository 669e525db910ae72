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
    """Back up and prune by the limits of `automation/limits.yaml`."""
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
    description="A backup of the results store, and removal of old runs and signals.",
)
def upkeep_job() -> None:
    """Run the one step."""
    upkeep_of_the_store()


def all_jobs(configs: Configs, accounts: Sequence[str]) -> list[Any]:
    """Every job of assets. Those that reach the modes run one mode a run: its partition.

    Dagster does not export the type of what `define_asset_job` returns.
    """
    groups, assets = dg.AssetSelection.groups, dg.AssetSelection.assets
    catalogue, sheets = assets(CATALOGUE), groups("report")
    market = groups("raw", "dataset") | catalogue
    modes = groups("config", "market", "backtest", "results") - catalogue
    health = groups("health") | assets(CONTROL)
    jobs = (
        ("full_pipeline", market | modes | sheets, "Everything for one mode, from files to pages."),
        ("ingest", groups("raw"), "Every raw feed as read."),
        ("datasets", market, "Raw feeds and the datasets made of them, with their checks."),
        ("backtests", modes, "Configuration, panel, backtest and record of one mode."),
        ("reports", sheets, "The tear sheet of one mode, and the pages over all."),
        ("stress_tests", assets(study_key("stress")), "Shocks and replayed crises over one mode."),
        ("montecarlo_paths", assets(study_key("montecarlo")), "Bootstrapped paths over one mode."),
        (SWEEP_JOB, assets(study_key("sweep")), "Thousands of points of one mode's numbers."),
        ("walk_forwards", assets(study_key("walk_forward")), "Numbers chosen on the past, judged."),
        (REQUESTS_JOB, groups("request"), "Serve backtest requests of the queue, in order."),
        (HEALTH_JOB, health, "Look at every component, and at emergency control."),
    )
    made = [dg.define_asset_job(name, what, description=text) for name, what, text in jobs]
    if any(config.source for config in configs.datasets.values()):
        text = "What is lacking of a month, of each feed that has a source."
        made.append(dg.define_asset_job(FETCH_JOB, groups(FETCH), description=text))
    if accounts:
        text = "An account to the present hour: fetch, run, signal, page."
        made.append(dg.define_asset_job(ACCOUNTS_JOB, groups(ACCOUNTS), description=text))
    return made
