"""A batch: one run for the data, then one a mode; the pages follow whatever has ended.

The runs of a batch share its tag, which says what they belong to and what caused them; the sensor
`batches` requests the modes when their data are read, the sensor `pages` writes the pages.

Dagster's automation conditions are not used for this. Tried on data versions, they leave a file
that was delivered again unchanged alone, and follow repairs. But a panel depends on every dataset,
whatever its mode reads: one changed dataset asked for the panels of all 10 modes, where 3 read it.
What a halt had blocked was not asked for again afterwards, and pages have to be written after runs
that failed and materialised nothing.
"""

from collections.abc import Collection, Iterable, Sequence

import dagster as dg
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from basis_pipeline.orchestration.assets.audit import DATA_AUDIT, GATES
from basis_pipeline.orchestration.assets.backtest import SIMULATION
from basis_pipeline.orchestration.assets.config import CATALOGUE
from basis_pipeline.orchestration.assets.config import MODE as CONFIG_MODE
from basis_pipeline.orchestration.assets.dataset import dataset_key
from basis_pipeline.orchestration.assets.market import PANEL
from basis_pipeline.orchestration.assets.raw import raw_key
from basis_pipeline.orchestration.assets.report import COMPARISON, TEAR_SHEET
from basis_pipeline.orchestration.assets.requests import REQUESTS_JOB
from basis_pipeline.orchestration.assets.results import RECORD
from basis_pipeline.orchestration.partitions import PARTITION

BATCH, STAGE, MODES, CAUSE = "basis/batch", "basis/stage", "basis/modes", "basis/cause"
DATA, MODE, PAGES = "data", "mode", "pages"
DATA_JOB, MODE_JOB, PAGES_JOB = "datasets", "full_pipeline", "reports"
OF_A_MODE = (CONFIG_MODE, PANEL, SIMULATION, RECORD, TEAR_SHEET)
UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.MANAGED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
FINISHED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
RECENT = 20  # runs of a mode looked through for one that is not of its pages


def data_run(
    batch: str,
    feeds: Collection[str],
    datasets: Collection[str],
    modes: Sequence[str],
    cause: str,
) -> dg.RunRequest:
    """The first run of a batch: these feeds and datasets; the modes are to follow."""
    keys = [CATALOGUE, *map(raw_key, sorted(feeds)), *map(dataset_key, sorted(datasets))]
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


def following(run: DagsterRun) -> list[dg.RunRequest]:
    """What a finished run of a batch leads to: the modes of a data run that came through."""
    modes = [mode for mode in run.tags.get(MODES, "").split(",") if mode]
    if run.tags.get(STAGE) != DATA or not run.is_success:
        return []
    return mode_runs(run.tags[BATCH], modes, run.tags.get(CAUSE, ""), run.run_id)


def page_assets(instance: DagsterInstance) -> list[dg.AssetKey]:
    """The pages on all modes; the comparison as soon as there is a run to compare."""
    compared = [COMPARISON] if instance.get_materialized_partitions(RECORD) else []
    return [DATA_AUDIT, *compared, GATES]


def writes_pages(run: DagsterRun) -> bool:
    """Whether a run does nothing but write pages."""
    keys = run.asset_selection
    return all(key.path[0] == "report" for key in keys) if keys else run.job_name == PAGES_JOB


def changes_verdicts(run: DagsterRun) -> bool:
    """Whether a run may have changed what pages show; served requests have pages of their own."""
    return run.job_name != REQUESTS_JOB and not writes_pages(run)


def is_followed(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Whether what a finished run leads to, if anything, has been requested."""
    tags = {BATCH: run.tags.get(BATCH, ""), STAGE: MODE}
    return not following(run) or bool(instance.get_runs_count(RunsFilter(tags=tags)))


def page_runs(instance: DagsterInstance, after: DagsterRun) -> list[dg.RunRequest]:
    """The pages on all modes, written anew after this run."""
    return [_page_run(after, page_assets(instance))]


def sheet_runs(instance: DagsterInstance, modes: Iterable[str]) -> list[dg.RunRequest]:
    """The tear sheets of modes whose latest run did not write it, though an earlier one has."""
    stale = []
    for mode in modes:
        sheets = dg.AssetRecordsFilter(asset_key=TEAR_SHEET, asset_partitions=[mode])
        written = instance.fetch_materializations(sheets, limit=1).records
        latest = _latest_run(instance, mode) if written else None
        if latest is None or latest.dagster_run.run_id == written[0].run_id:
            continue
        if latest.end_time and latest.end_time > written[0].timestamp:
            stale.append((mode, latest.dagster_run))
    return [_page_run(run, [TEAR_SHEET], mode) for mode, run in stale]


def _latest_run(instance: DagsterInstance, mode: str) -> dg.RunRecord | None:
    """The latest run of a mode that has ended and may have changed its verdicts."""
    wanted = RunsFilter(tags={PARTITION: mode}, statuses=FINISHED)
    records = instance.get_run_records(wanted, limit=RECENT, order_by="update_timestamp")
    return next((record for record in records if changes_verdicts(record.dagster_run)), None)


def _page_run(
    after: DagsterRun, pages: Sequence[dg.AssetKey], mode: str | None = None
) -> dg.RunRequest:
    cause = after.tags.get(CAUSE, f"run {after.run_id[:8]} of {after.job_name}")
    batch = {BATCH: after.tags[BATCH]} if BATCH in after.tags else {}
    return dg.RunRequest(
        run_key="/".join(filter(None, (PAGES, after.run_id, mode))),
        job_name=PAGES_JOB,
        partition_key=mode,
        asset_selection=pages,
        tags={STAGE: PAGES, CAUSE: cause, **batch},
    )
