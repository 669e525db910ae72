"""Records of checks as Dagster keeps them: the one place that reads them from its event log.

Dagster has no public way to read the evaluations of a check by partition, so that two of its
private names are used here, and nowhere else.
"""

from collections.abc import Iterable, Mapping, Sequence

import dagster as dg

# `get_latest_asset_check_execution_by_key` and the history take their filter in these types only.
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

CheckRecord = AssetCheckExecutionRecord
EVALUATED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


def latest_records(
    instance: dg.DagsterInstance, checks: Iterable[dg.AssetCheckKey], partition: str | None = None
) -> Mapping[dg.AssetCheckKey, CheckRecord]:
    """Return the latest record of each check over all runs, planned ones included, in one query."""
    return instance.event_log_storage.get_latest_asset_check_execution_by_key(
        list(checks), partition_filter=_only(partition)
    )


def history_of(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, limit: int, partition: str | None = None
) -> Sequence[CheckRecord]:
    """Return the evaluations of a check, the latest first."""
    return instance.event_log_storage.get_asset_check_execution_history(
        check, limit=limit, status=EVALUATED, partition_filter=_only(partition)
    )


def _only(partition: str | None) -> PartitionKeyFilter | None:
    return PartitionKeyFilter(key=partition) if partition else None


def is_planned(record: CheckRecord) -> bool:
    """Whether the check was planned and has not been evaluated: a run was created, no more."""
    return record.status is AssetCheckExecutionRecordStatus.PLANNED


def has_failed(record: CheckRecord) -> bool:
    """Whether the check was evaluated and failed, whatever its severity."""
    return record.status is AssetCheckExecutionRecordStatus.FAILED


def evaluation_of(record: CheckRecord) -> dg.AssetCheckEvaluation | None:
    """Return the evaluation; None of a check that was only planned."""
    if record.event is None or is_planned(record):
        return None
    return record.event.get_dagster_event().asset_check_evaluation_data
