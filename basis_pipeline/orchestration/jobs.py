"""Jobs: the whole pipeline, its layers, and the pipeline over several processes."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from basis_pipeline.orchestration.assets.config import CATALOGUE
from basis_pipeline.orchestration.assets.requests import REQUESTS_JOB
from basis_pipeline.orchestration.assets.studies import study_key
from basis_pipeline.orchestration.control import CONTROL
from basis_pipeline.orchestration.executors import parallel_executor

SWEEP_JOB = "sweeps"
STUDIES = (
    ("stress_tests", "stress", "Shocks and replayed crises over one mode."),
    ("montecarlo_paths", "montecarlo", "Paths drawn from history over one mode."),
    (SWEEP_JOB, "sweep", "Thousands of points of one mode's numbers."),
    ("walk_forwards", "walk_forward", "One mode's numbers chosen on the past, judged after it."),
)
HEALTH_JOB = "observe_health"  # the asset itself is called health


def all_jobs() -> list[UnresolvedAssetJobDefinition]:
    """Every named job. Those that reach the modes run one mode a run: its partition."""
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
