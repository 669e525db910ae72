"""The upstream gate: nothing is computed on data whose checks fail, whichever run found it.

What counts is the latest evaluation of a check. Dagster plans a check when a run is created, so
that a planned one says nothing of the data: where a run that executes right now is about to
evaluate it, the gate waits for that run for a while; one that waits in the queue, was canceled or
has lost its process is not waited for. An evaluation counts only for the data directory and the
window that it was made on, which the tags of its run name.
"""

import time
from collections.abc import Iterable, Mapping

import dagster as dg
from dagster import DagsterInstance, DagsterRun, RunsFilter

from basis_pipeline.error_codes import REGISTRY
from basis_pipeline.errors import CAUSE, BacktestError
from basis_pipeline.orchestration.check_history import (
    CheckRecord,
    evaluation_of,
    history_of,
    is_planned,
    latest_records,
)
from basis_pipeline.orchestration.checks import verdict_of
from basis_pipeline.orchestration.processes import is_executing
from basis_pipeline.verdict import Status, Verdict

SHOWN = 4
PATIENCE_SECONDS = 120.0  # for a run that executes and is to evaluate one of the checks
POLL_SECONDS = 0.5
HISTORY = 50  # evaluations of a check looked through for one of the same data, the latest first
Origin = Mapping[str, str]  # tags of a run: the data directory and the window it is on


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
    asset: the asset that is to be computed, for the message.
    run_id: the run that asks; its own plans are not waited for.
    origin: tags that a run has to carry for its evaluations to count; any run's count without.
    partition: partition of the checks, where they have any.

    Raises
    ------
    BacktestError: BT-001 with the check at fault, its code and the file.
    """
    wanted = list(checks)
    records = _evaluations(instance, wanted, run_id, origin or {}, partition)
    verdicts = [_verdict(check, records.get(check)) for check in wanted]
    failing = [verdict for verdict in verdicts if not verdict.passed]
    # What is known to be wrong is shown; what was never evaluated only when nothing else is.
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
    """Say who knows what to do; nothing where the fault has no code of its own."""
    code = verdict.fault.partition(" at ")[0]
    return f"fix the data first: basis errors {code} says how" if code in REGISTRY else ""


def _listed(texts: Iterable[str], separator: str) -> str:
    items = list(texts)
    more = f"{separator}and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return separator.join(items[:SHOWN]) + more


def _verdict(check: dg.AssetCheckKey, record: CheckRecord | None) -> Verdict:
    asset, evaluation = check.asset_key.to_user_string(), record and evaluation_of(record)
    if evaluation is None:
        message = "was never evaluated on this data and window: materialise it"
        return Verdict(
            check=check.name,
            severity="ERROR",
            status=Status.NOT_RUN,
            message=message,
            asset=asset,
            cause=asset,
        )
    verdict = verdict_of(evaluation)
    return verdict.at(message=f"fails: {verdict.message.partition(' | ')[0]}")


def _evaluations(
    instance: DagsterInstance,
    wanted: list[dg.AssetCheckKey],
    run_id: str,
    origin: Origin,
    partition: str | None,
) -> dict[dg.AssetCheckKey, CheckRecord]:
    """Return the latest evaluation of each check on this origin, after runs that are at it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    runs: dict[str, DagsterRun] = {}
    while True:
        latest = latest_records(instance, wanted, partition)
        planned = {r.run_id for r in latest.values() if is_planned(r)} - {run_id}
        runs |= _runs(instance, planned)
        busy = [r for name in planned if (r := runs.get(name)) and _is_of(r, origin)]
        if not any(is_executing(instance, run) for run in busy) or time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
    runs |= _runs(instance, {record.run_id for record in latest.values()} - runs.keys())
    found = {}
    for check, record in latest.items():
        if not is_planned(record) and _is_of(runs.get(record.run_id), origin):
            found[check] = record
        elif earlier := _earlier(instance, check, origin, partition):
            found[check] = earlier
    return found


def _earlier(
    instance: DagsterInstance, check: dg.AssetCheckKey, origin: Origin, partition: str | None
) -> CheckRecord | None:
    history = history_of(instance, check, HISTORY, partition)
    runs = _runs(instance, {record.run_id for record in history})
    return next((r for r in history if _is_of(runs.get(r.run_id), origin)), None)


def _runs(instance: DagsterInstance, run_ids: set[str]) -> dict[str, DagsterRun]:
    if not run_ids:
        return {}
    return {run.run_id: run for run in instance.get_runs(RunsFilter(run_ids=sorted(run_ids)))}


def _is_of(run: DagsterRun | None, origin: Origin) -> bool:
    """Whether a run was on this origin; so is what a person reported outside of any run."""
    return run is None or all(run.tags.get(name) == value for name, value in origin.items())
