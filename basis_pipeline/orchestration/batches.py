"""A batch: one run for the data, then one per mode; the pages are written when runs have ended.

The tags of a run name its batch and its cause. The sensor `batches` requests the modes when the
data run has succeeded, and the sensor `pages` requests the pages.

Dagster's automation conditions were tried on data versions and are not used. They ignore a file
that was delivered again unchanged, and they follow repairs. But a panel depends on every dataset,
whatever its mode reads: one changed dataset requested the panels of all 10 modes, where 3 read it.
They did not request again what a halt had blocked, and pages must also be written after runs that
failed and materialised nothing.
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
MODE_ASSETS = (CONFIG_MODE, PANEL, SIMULATION, RECORD, TEAR_SHEET)
FINISHED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
UNFINISHED = [status for status in DagsterRunStatus if status not in FINISHED]
RECENT = 20  # latest runs of a mode searched for one that does more than write pages


def data_run(
    batch: str,
    feeds: Collection[str],
    datasets: Collection[str],
    modes: Sequence[str],
    cause: str,
) -> dg.RunRequest:
    """Return the request of a batch's first run: these feeds and datasets, then these modes."""
    keys = [CATALOGUE, *map(raw_key, sorted(feeds)), *map(dataset_key, sorted(datasets))]
    tags = {BATCH: batch, STAGE: DATA, MODES: ",".join(modes), CAUSE: cause}
    return dg.RunRequest(run_key=batch, job_name=DATA_JOB, asset_selection=keys, tags=tags)


def mode_runs(batch: str, modes: Sequence[str], cause: str, after: str) -> list[dg.RunRequest]:
    """Return the request of one run per mode; each is made once per `after`, their trigger."""
    tags = {BATCH: batch, STAGE: MODE, CAUSE: cause}
    return [
        dg.RunRequest(
            run_key=f"{after}/{mode}",
            job_name=MODE_JOB,
            partition_key=mode,
            asset_selection=list(MODE_ASSETS),
            tags=tags,
        )
        for mode in modes
    ]


def next_runs(run: DagsterRun) -> list[dg.RunRequest]:
    """Return the runs to request after a finished run: the modes, if a data run succeeded."""
    modes = [mode for mode in run.tags.get(MODES, "").split(",") if mode]
    if run.tags.get(STAGE) != DATA or not run.is_success:
        return []
    return mode_runs(run.tags[BATCH], modes, run.tags.get(CAUSE, ""), run.run_id)


def page_assets(instance: DagsterInstance) -> list[dg.AssetKey]:
    """Return the pages on all modes; the comparison only once a run is recorded."""
    comparison = [COMPARISON] if instance.get_materialized_partitions(RECORD) else []
    return [DATA_AUDIT, *comparison, GATES]


def writes_pages(run: DagsterRun) -> bool:
    """Say whether a run only writes pages."""
    keys = run.asset_selection
    return all(key.path[0] == "report" for key in keys) if keys else run.job_name == PAGES_JOB


def changes_verdicts(run: DagsterRun) -> bool:
    """Say whether a run may have changed the verdicts on pages; served requests do not."""
    return run.job_name != REQUESTS_JOB and not writes_pages(run)


def next_runs_exist(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Say whether the next runs after a finished run, if any, have been requested."""
    tags = {BATCH: run.tags.get(BATCH, ""), STAGE: MODE}
    return not next_runs(run) or bool(instance.get_runs_count(RunsFilter(tags=tags)))


def page_run(instance: DagsterInstance, after: DagsterRun) -> dg.RunRequest:
    """Return the request to rewrite the pages on all modes after this run."""
    return _request(after, page_assets(instance))


def sheet_runs(instance: DagsterInstance, modes: Iterable[str]) -> list[dg.RunRequest]:
    """Return the requests to rewrite tear sheets that are older than the latest run of a mode."""
    stale = []
    for mode in modes:
        sheets = dg.AssetRecordsFilter(asset_key=TEAR_SHEET, asset_partitions=[mode])
        written = instance.fetch_materializations(sheets, limit=1).records
        latest = _latest_run(instance, mode) if written else None
        if latest is None or latest.dagster_run.run_id == written[0].run_id:
            continue
        if latest.end_time and latest.end_time > written[0].timestamp:
            stale.append((mode, latest.dagster_run))
    return [_request(run, [TEAR_SHEET], mode) for mode, run in stale]


def _latest_run(instance: DagsterInstance, mode: str) -> dg.RunRecord | None:
    """Return the latest finished run of a mode that may have changed its verdicts."""
    wanted = RunsFilter(tags={PARTITION: mode}, statuses=FINISHED)
    records = instance.get_run_records(wanted, limit=RECENT, order_by="update_timestamp")
    return next((record for record in records if changes_verdicts(record.dagster_run)), None)


def _request(
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
