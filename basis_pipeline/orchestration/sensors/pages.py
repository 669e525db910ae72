"""`pages`: rewrites every page that shows verdicts when a run may have changed them."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster import DagsterInstance, DagsterRun, RunsFilter

from basis_pipeline.operations.control import State, read_state
from basis_pipeline.orchestration.assets.audit import GATES
from basis_pipeline.orchestration.batches import (
    FINISHED,
    PAGES_JOB,
    UNFINISHED,
    changes_verdicts,
    next_runs_exist,
    page_run,
    sheet_runs,
    writes_pages,
)
from basis_pipeline.settings import load_settings

FIRST_WINDOW = timedelta(hours=1)  # of the first tick
MAX_WAIT = timedelta(minutes=10)  # for runs in progress
LIMIT = 500


def page_sensor(jobs: Mapping[str, Any], modes: Collection[str]) -> dg.SensorDefinition:
    """Compare the end of runs, failed ones too, with the time the pages were written.

    It has no cursor: a run that ended after the run of the pages started is not on them. It
    continues during a halt, because the pages also show the halt.
    """

    @dg.sensor(
        name="pages",
        job=jobs[PAGES_JOB],
        minimum_interval_seconds=10,
        description=(
            "Runs that have ended since the pages were written, failed ones too: rewrites the "
            "gates, the data audit and the comparison, and the tear sheets of modes that failed "
            "before their own. Waits up to ten minutes for runs in progress. Continues during a "
            "halt."
        ),
    )
    def pages(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if read_state(load_settings()).name is State.SHUTDOWN:
            return dg.SkipReason("shut down: no page is written")
        instance = context.instance
        unfinished = instance.get_runs(RunsFilter(statuses=UNFINISHED))
        if any(map(writes_pages, unfinished)):
            return dg.SkipReason("a run is writing the pages")
        ended = _not_on_the_pages(instance)
        is_quiet = not unfinished and all(next_runs_exist(instance, run) for _, run in ended)
        if ended and not is_quiet and datetime.now(UTC) - ended[0][0] < MAX_WAIT:
            return dg.SkipReason("waiting for runs in progress")
        requests = [] if unfinished else sheet_runs(instance, modes)
        if ended:
            requests.append(page_run(instance, ended[-1][1]))
        if not requests:
            return dg.SkipReason("the pages show every finished run")
        return dg.SensorResult(run_requests=requests)

    return pages


def _not_on_the_pages(instance: DagsterInstance) -> list[tuple[datetime, DagsterRun]]:
    """Return the runs, each with its end, that ended after the run of the pages started."""
    latest = instance.fetch_materializations(dg.AssetRecordsFilter(GATES), limit=1).records
    started = datetime.now(UTC) - FIRST_WINDOW
    if latest and (written := instance.get_run_record_by_id(latest[0].run_id)):
        started = datetime.fromtimestamp(written.start_time or latest[0].timestamp, UTC)
    records = instance.get_run_records(
        RunsFilter(statuses=FINISHED, updated_after=started),
        order_by="update_timestamp",
        ascending=True,
        limit=LIMIT,
    )
    ends = [
        (datetime.fromtimestamp(record.end_time, UTC), record.dagster_run)
        for record in records
        if record.end_time and changes_verdicts(record.dagster_run)
    ]
    return [(end, run) for end, run in ends if end >= started]
