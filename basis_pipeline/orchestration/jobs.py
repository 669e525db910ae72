"""Jobs: the whole pipeline, its layers, and the pipeline over several processes."""

from typing import Any

import dagster as dg

from basis_pipeline.config.automation import load_automation_limits
from basis_pipeline.operations.upkeep import keep_up
from basis_pipeline.orchestration.assets.config import CATALOGUE
from basis_pipeline.orchestration.assets.requests import REQUESTS_JOB
from basis_pipeline.orchestration.assets.studies import study_key
from basis_pipeline.orchestration.control import CONTROL
from basis_pipeline.orchestration.executors import parallel_executor
from basis_pipeline.orchestration.failures import RETRIES, coded_failures
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.settings import config_directory

SWEEP_JOB = "sweeps"
STUDIES = (
    ("stress_tests", "stress", "Shocks and replayed crises over one mode."),
    ("montecarlo_paths", "montecarlo", "Paths drawn from history over one mode."),
    (SWEEP_JOB, "sweep", "Thousands of points of one mode's numbers."),
    ("walk_forwards", "walk_forward", "One mode's numbers chosen on the past, judged after it."),
)
HEALTH_JOB = "observe_health"  # the asset itself is called health


UPKEEP_JOB = "upkeep"


@dg.op(retry_policy=RETRIES, description="Back up the results store, then prune it.")
def upkeep_of_the_store(context: dg.OpExecutionContext, options: RunOptions) -> None:
    """Back up and prune by the limits of `configs/automation/limits.yaml`."""
    with coded_failures():
        limits = load_automation_limits(config_directory()).upkeep
        made, removed = keep_up(options.settings, limits)
    context.add_output_metadata(
        {
            "backup": dg.MetadataValue.path(made),
            "bytes": made.stat().st_size,
            "runs_removed": [record.run_id for record in removed],
        }
    )


@dg.job(name=UPKEEP_JOB, description="A backup of the results store, and removal of old runs.")
def upkeep_job() -> None:
    """Run the one step."""
    upkeep_of_the_store()


def all_jobs() -> list[Any]:
    """Every named job. Those that reach the modes run one mode a run: its partition.

    Dagster does not export the type of what `define_asset_job` returns.
    """
    groups = dg.AssetSelection.groups
    market = groups("raw", "dataset") | dg.AssetSelection.assets(CATALOGUE)
    modes = groups("config", "market", "backtest", "results") - dg.AssetSelection.assets(CATALOGUE)
    sheets = groups("report")
    return [
        dg.define_asset_job(
            "full_pipeline",
            market | modes | sheets,
            description="Everything for one mode: raw files, datasets, backtest, record, reports.",
        ),
        dg.define_asset_job(
            "ingest",
            groups("raw"),
            description="Read every raw family as it landed.",
        ),
        dg.define_asset_job(
            "datasets",
            market,
            description="Raw families and the datasets made of them, with their checks.",
        ),
        dg.define_asset_job(
            "backtests",
            modes,
            description="Configuration, panel, backtest and record of one mode.",
        ),
        dg.define_asset_job(
            "reports",
            sheets,
            description="The tear sheet of one mode and the comparison of all.",
        ),
        dg.define_asset_job(
            "full_pipeline_parallel",
            market | modes | sheets,
            description="`full_pipeline` with its steps in processes of their own.",
            executor_def=parallel_executor,
        ),
        *(
            dg.define_asset_job(
                job, dg.AssetSelection.assets(study_key(kind)), description=description
            )
            for job, kind, description in STUDIES
        ),
        dg.define_asset_job(
            REQUESTS_JOB,
            groups("request"),
            description="Serve backtest requests of the queue, in order.",
        ),
        dg.define_asset_job(
            HEALTH_JOB,
            groups("health") | dg.AssetSelection.assets(CONTROL),
            description="Look at every component, and at emergency control: may work go on?",
        ),
    ]
