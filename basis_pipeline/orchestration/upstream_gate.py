"""The upstream gate: nothing is computed on data whose checks fail, whichever run found that.

The latest evaluation of a check counts. Dagster plans a check when a run is created, so a planned
check says nothing about the data. Where a run in progress is going to evaluate it, the gate waits
for that run, up to a limit; it does not wait for a run that is queued, was canceled or has lost
its process. An evaluation counts only for the data directory and the window it was made on, which
the tags of its run name.
"""

import time
from collections.abc import Iterable, Mapping

import dagster as dg
from dagster import DagsterInstance, DagsterRun, RunsFilter

from basis_pipeline.error_codes import REGISTRY
from basis_pipeline.errors import CAUSE, BacktestError
from basis_pipeline.orchestration.check_history import (
    CheckRecord,
    history_of,
    is_planned,
    latest_records,
    recorded_verdict,
)
from basis_pipeline.orchestration.processes import is_executing
from basis_pipeline.verdict import Status, Verdict

SHOWN = 4
WAIT_SECONDS = 120.0  # for a run in progress that is going to evaluate one of the checks
POLL_SECONDS = 0.5
HISTORY = 50  # evaluations of a check searched for one on the same data, the latest first
Origin = Mapping[str, str]  # tags of a run: its data directory and window


def require_passing(
    instance: DagsterInstance,
    checks: Iterable[dg.AssetCheckKey],
    asset: str,
    *,
    run_id: str = "",
    origin: Origin | None = None,
    partition: str | None = None,
) -> None:
    """Raise unless the latest evaluation of every one of `checks` is a pass.

    Parameters
    ----------
    checks: the blocking checks of what `asset` reads.
    asset: the asset to compute, for the message.
    run_id: the run that computes it; the gate does not wait for its own planned checks.
    origin: tags that a run must carry for its evaluations to count; without it any run counts.
    partition: partition of the checks, where they have one.

    Raises
    ------
    BacktestError: BT-001 with the failing check, its code and the file.
    """
    wanted = list(checks)
    records = _evaluations(instance, wanted, run_id, origin or {}, partition)
    verdicts = [_verdict(check, records.get(check)) for check in wanted]
    failing = [verdict for verdict in verdicts if not verdict.passed]
    # Checks that were never evaluated are shown only where no evaluated check fails.
    shown = [verdict for verdict in failing if verdict.evaluated] or failing
    if not shown:
        return
    messages = dict.fromkeys(f"{v.asset} {v.check} {v.message}" for v in shown)
    places = dict.fromkeys(str(v.evidence.get("where") or v.asset) for v in shown)
    raise BacktestError(
        "BT-001",
        f"{asset} does not run: {_listed(messages, '; ')}",
        where=_listed(places, ", "),
        action=_action(shown[0]),
        context={CAUSE: shown[0].fault},
    )


def _action(verdict: Verdict) -> str:
    """Name the command that explains the fault; "" where the fault has no code."""
    code = verdict.fault.partition(" at ")[0]
    return f"fix the data first: basis errors {code} says how" if code in REGISTRY else ""


def _listed(texts: Iterable[str], separator: str) -> str:
    items = list(texts)
    more = f"{separator}and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return separator.join(items[:SHOWN]) + more


def _verdict(check: dg.AssetCheckKey, record: CheckRecord | None) -> Verdict:
    verdict, asset = record and recorded_verdict(record), check.asset_key.to_user_string()
    if verdict is None:
        message = "was never evaluated on this data and window: materialise it"
        return Verdict(
            check=check.name,
            severity="ERROR",
            status=Status.NOT_RUN,
            message=message,
            asset=asset,
            cause=asset,
        )
    return verdict.at(message=f"fails: {verdict.message.partition(' | ')[0]}")


def _evaluations(
    instance: DagsterInstance,
    wanted: list[dg.AssetCheckKey],
    run_id: str,
    origin: Origin,
    partition: str | None,
) -> dict[dg.AssetCheckKey, CheckRecord]:
    """Return the latest evaluation of each check on this origin; wait for runs in progress."""
    deadline = time.monotonic() + WAIT_SECONDS
    runs: dict[str, DagsterRun] = {}
    while True:
        latest = latest_records(instance, wanted, partition)
        planned = {r.run_id for r in latest.values() if is_planned(r)} - {run_id}
        runs |= _runs(instance, planned)
        pending = [r for name in planned if (r := runs.get(name)) and _has_origin(r, origin)]
        if not any(is_executing(instance, run) for run in pending) or time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
    runs |= _runs(instance, {record.run_id for record in latest.values()} - runs.keys())
    found = {}
    for check, record in latest.items():
        if not is_planned(record) and _has_origin(runs.get(record.run_id), origin):
            found[check] = record
        elif earlier := _earlier_evaluation(instance, check, origin, partition):
            found[check] = earlier
    return found


def _earlier_evaluation(
    instance: DagsterInstance, check: dg.AssetCheckKey, origin: Origin, partition: str | None
) -> CheckRecord | None:
    history = history_of(instance, check, HISTORY, partition)
    runs = _runs(instance, {record.run_id for record in history})
    return next((r for r in history if _has_origin(runs.get(r.run_id), origin)), None)


def _runs(instance: DagsterInstance, run_ids: set[str]) -> dict[str, DagsterRun]:
    if not run_ids:
        return {}
    return {run.run_id: run for run in instance.get_runs(RunsFilter(run_ids=sorted(run_ids)))}


def _has_origin(run: DagsterRun | None, origin: Origin) -> bool:
    """Say whether a run has this origin; a record outside of any run counts for every origin."""
    return run is None or all(run.tags.get(name) == value for name, value in origin.items())
