"""What sensors and schedules share: settings, the halt, and runs that have ended since a look."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TypeVar

import dagster as dg
from dagster import DagsterInstance, DagsterRun, RunsFilter

from basis_pipeline.operations.control import read_state
from basis_pipeline.orchestration.batches import FINISHED
from basis_pipeline.settings import Settings, load_settings

FIRST_LOOK_BACK = timedelta(hours=1)
OVERLAP = timedelta(seconds=2)  # of two looks: a run may be stored a little after its time

C = TypeVar("C", dg.SensorEvaluationContext, dg.ScheduleEvaluationContext)
R = TypeVar("R")


def while_work_goes_on(
    evaluate: Callable[[C, Settings], R],
) -> Callable[[C], R | dg.SkipReason]:
    """An evaluation that requests nothing, and forgets nothing, while work is halted.

    Everything that requests runs on its own goes through here; health and alerts do not.
    """

    @wraps(evaluate)
    def guarded(context: C) -> R | dg.SkipReason:
        settings = load_settings()
        state = read_state(settings)
        if state.stops_work:
            return dg.SkipReason(state.description)
        return evaluate(context, settings)

    # Dagster asks for the context by the parameter's name; the wrapped one has a second parameter.
    del guarded.__wrapped__
    return guarded


def runs_ended(
    instance: DagsterInstance, cursor: str | None, tags: Mapping[str, Sequence[str]], limit: int
) -> Iterator[tuple[DagsterRun, str]]:
    """Runs that have ended since the look that the cursor tells of, each with the cursor after it.

    Each once, in the order they ended, as long as the cursors are stored; at first those of the
    last hour. One that Dagster is going to try again has not ended.
    """
    known = json.loads(cursor) if cursor else {}
    since = known.get("since")
    start = datetime.fromisoformat(since) if since else datetime.now(UTC) - FIRST_LOOK_BACK
    seen: dict[str, str] = dict(known.get("seen", {}))
    wanted = RunsFilter(tags=dict(tags), statuses=FINISHED, updated_after=start - OVERLAP)
    records = instance.get_run_records(wanted, order_by="update_timestamp", ascending=True)
    count = 0
    for record in records:
        run, at = record.dagster_run, record.update_timestamp
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        if run.run_id in seen or count == limit:
            continue
        count += 1
        seen[run.run_id] = at.isoformat()
        start = max(start, at)
        recent = {
            key: when
            for key, when in seen.items()
            if datetime.fromisoformat(when) >= start - 2 * OVERLAP
        }
        yield run, json.dumps({"since": start.isoformat(), "seen": recent})
