"""The upstream gate: nothing is computed on data whose checks fail, whichever run found it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from basis_pipeline.errors import BacktestError

SHOWN = 4
Records = Mapping[dg.AssetCheckKey, AssetCheckExecutionRecord]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A check that has not passed: what its latest record says, and where the fault is."""

    check: str
    message: str
    where: str
    failing: bool


def latest_records(
    instance: dg.DagsterInstance, checks: Iterable[dg.AssetCheckKey], partition: str | None = None
) -> Records:
    """The latest record of each check over all runs, in one query; of one partition where given."""
    only = PartitionKeyFilter(key=partition) if partition else None
    return instance.event_log_storage.get_latest_asset_check_execution_by_key(
        list(checks), partition_filter=only
    )


def require_passing(
    instance: dg.DagsterInstance,
    checks: Iterable[dg.AssetCheckKey],
    asking: str,
    partition: str | None = None,
) -> None:
    """Refuse unless the latest record of every one of `checks` is a pass.

    Parameters
    ----------
    checks: the blocking checks of what `asking` reads.
    asking: the asset that wants to run, for the message.

    Raises
    ------
    BacktestError: BT-001 with the check at fault, its code and the file.
    """
    wanted = list(checks)
    records = latest_records(instance, wanted, partition)
    found = list(_obstacles(wanted, records))
    # What is known to be wrong is told; what was never looked at only when nothing else is.
    telling = [obstacle for obstacle in found if obstacle.failing] or found
    if not telling:
        return
    messages = dict.fromkeys(f"{obstacle.check} {obstacle.message}" for obstacle in telling)
    places = dict.fromkeys(obstacle.where for obstacle in telling)
    raise BacktestError(
        "BT-001",
        f"{asking} does not run: {_listed(messages, '; ')}",
        where=_listed(places, ", "),
    )


def _listed(texts: Iterable[str], separator: str) -> str:
    found = list(texts)
    more = f"{separator}and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return separator.join(found[:SHOWN]) + more


def _obstacles(wanted: Iterable[dg.AssetCheckKey], records: Records) -> Iterator[Obstacle]:
    for key in wanted:
        asset = key.asset_key.to_user_string()
        record = records.get(key)
        if record is None:
            yield Obstacle(
                f"{asset} {key.name}", "was never evaluated: materialise it", asset, False
            )
        elif record.status is AssetCheckExecutionRecordStatus.PLANNED:
            yield Obstacle(f"{asset} {key.name}", "was planned and never evaluated", asset, False)
        elif record.status is AssetCheckExecutionRecordStatus.FAILED:
            message, where = told(record)
            yield Obstacle(f"{asset} {key.name}", f"fails: {message}", where or asset, True)


def told(record: AssetCheckExecutionRecord) -> tuple[str, str]:
    """What a record's evaluation says, and the file or place it names."""
    event = record.event.dagster_event if record.event else None
    if event is None or record.status is AssetCheckExecutionRecordStatus.PLANNED:
        return "", ""
    evaluation = event.asset_check_evaluation_data
    where = evaluation.metadata.get("where")
    return (evaluation.description or "").split(" | ")[0], str(where.value) if where else ""
