"""Records of checks in Dagster's event log; only this module reads them.

Dagster has no public call for the evaluations of a check by partition, so this module uses two of
its private names; no other module does.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg

# The filters of `get_latest_asset_check_execution_by_key` and the history have no public types.
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from basis_pipeline.orchestration.checks import verdict_of
from basis_pipeline.verdict import Verdict

CheckRecord = AssetCheckExecutionRecord
EVALUATED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


def latest_records(
    instance: dg.DagsterInstance, checks: Iterable[dg.AssetCheckKey], partition: str | None = None
) -> Mapping[dg.AssetCheckKey, CheckRecord]:
    """Return the latest record of each check over all runs, planned ones too, in one query."""
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
    """Say whether a run that was created plans the check but has not evaluated it."""
    return record.status is AssetCheckExecutionRecordStatus.PLANNED


def evaluation_of(record: CheckRecord) -> dg.AssetCheckEvaluation | None:
    """Return the evaluation of a record; None where the check was only planned."""
    if record.event is None or is_planned(record):
        return None
    return record.event.get_dagster_event().asset_check_evaluation_data


def recorded_verdict(record: CheckRecord) -> Verdict | None:
    """Return the verdict of a record with its time and run; None where it was only planned."""
    evaluation = evaluation_of(record)
    if evaluation is None or record.event is None:
        return None
    evaluated_at = datetime.fromtimestamp(record.event.timestamp, UTC)
    return verdict_of(evaluation).at(evaluated_at=evaluated_at, run_id=record.run_id)
