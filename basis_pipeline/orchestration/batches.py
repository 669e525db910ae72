"""A batch: one run for the data, then one a mode, then one for the comparison.

The runs of a batch share its tag, so that each tells what it belongs to and what caused it; the
sensor `batches` requests the next ones when those before have ended.
"""

from collections.abc import Collection, Sequence

import dagster as dg
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from basis_pipeline.orchestration.assets.config import CATALOGUE
from basis_pipeline.orchestration.assets.dataset import dataset_key
from basis_pipeline.orchestration.assets.raw import raw_key
from basis_pipeline.orchestration.assets.report import COMPARISON
from basis_pipeline.orchestration.launch import OF_A_MODE

BATCH, STAGE, MODES, CAUSE = "basis/batch", "basis/stage", "basis/modes", "basis/cause"
DATA, MODE, PAGES = "data", "mode", "comparison"
DATA_JOB, MODE_JOB, PAGES_JOB = "datasets", "full_pipeline", "reports"
WILL_RETRY = "dagster/will_retry"
UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.MANAGED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def data_run(
    batch: str,
    families: Collection[str],
    datasets: Collection[str],
    modes: Sequence[str],
    cause: str,
) -> dg.RunRequest:
    """The first run of a batch: these families and datasets; the modes are to follow."""
    keys = [CATALOGUE, *map(raw_key, sorted(families)), *map(dataset_key, sorted(datasets))]
    tags = {BATCH: batch, STAGE: DATA, MODES: ",".join(modes), CAUSE: cause}
    return dg.RunRequest(run_key=batch, job_name=DATA_JOB, asset_selection=keys, tags=tags)


def mode_runs(batch: str, modes: Sequence[str], cause: str, after: str) -> list[dg.RunRequest]:
    """One run a mode; `after` is what they follow, which asks for them once."""
    tags = {BATCH: batch, STAGE: MODE, CAUSE: cause}
    return [
        dg.RunRequest(
            run_key=f"{after}/{mode}",
            job_name=MODE_JOB,
            partition_key=mode,
            asset_selection=list(OF_A_MODE),
            tags=tags,
        )
        for mode in modes
    ]


def comparison_run(batch: str, runs: int, cause: str) -> dg.RunRequest:
    """The last run of a batch, after so many runs of modes."""
    return dg.RunRequest(
        run_key=f"{batch}/{PAGES}/{runs}",
        job_name=PAGES_JOB,
        asset_selection=[COMPARISON],
        tags={BATCH: batch, STAGE: PAGES, CAUSE: cause},
    )


def following(instance: DagsterInstance, run: DagsterRun) -> list[dg.RunRequest]:
    """What a finished run of a batch leads to: its modes, the comparison, or nothing."""
    batch, cause = run.tags[BATCH], run.tags.get(CAUSE, "")
    if run.tags[STAGE] == DATA:
        is_good = run.status is DagsterRunStatus.SUCCESS
        modes = [mode for mode in run.tags.get(MODES, "").split(",") if mode]
        return mode_runs(batch, modes, cause, run.run_id) if is_good else []
    of_batch = {BATCH: batch, STAGE: MODE}
    if instance.get_runs_count(RunsFilter(tags=of_batch, statuses=UNFINISHED)):
        return []
    return [comparison_run(batch, instance.get_runs_count(RunsFilter(tags=of_batch)), cause)]
