"""Schedules in UTC, switched off by default: the operator switches them on."""

import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from basis_pipeline.config.automation import load_automation_limits
from basis_pipeline.config.current import current_configs
from basis_pipeline.market.fetch.series import GAPS_REPAIRED_FOR
from basis_pipeline.operations.file_changes import being_written, take_snapshots
from basis_pipeline.orchestration.batches import CAUSE, DATA_JOB, data_run
from basis_pipeline.orchestration.jobs import (
    ACCOUNTS_JOB,
    FETCH_JOB,
    HEALTH_JOB,
    SWEEP_JOB,
    UPKEEP_JOB,
)
from basis_pipeline.orchestration.partitions import study_partition_keys
from basis_pipeline.orchestration.sensors.evaluation import unless_halted
from basis_pipeline.settings import Settings, config_directory

ONE_DAY = timedelta(days=1)


def all_schedules(jobs: Iterable[Any], accounts: Sequence[str]) -> list[dg.ScheduleDefinition]:
    """Return every schedule; `jobs` are the jobs they request runs of."""
    by_name = {job.name: job for job in jobs}
    return [
        _nightly(by_name[DATA_JOB]),
        _weekly_sweeps(by_name[SWEEP_JOB]),
        dg.ScheduleDefinition(
            name="hourly_health",
            job_name=HEALTH_JOB,
            cron_schedule="0 * * * *",
            description="Every hour: checks every component. Continues during a halt.",
        ),
        dg.ScheduleDefinition(
            name="nightly_upkeep",
            job_name=UPKEEP_JOB,
            cron_schedule="0 5 * * *",
            description=(
                "Every night: backs up the results store, and removes the oldest runs and signals "
                "beyond the limits of automation/limits.yaml. Continues during a halt."
            ),
        ),
        *([_hourly_fetch(by_name[FETCH_JOB])] if FETCH_JOB in by_name else []),
        *([_hourly_accounts(by_name[ACCOUNTS_JOB], accounts)] if accounts else []),
    ]


def _partition_runs(trigger: str, partitions: Iterable[str], cause: str) -> list[dg.RunRequest]:
    """Return the request of one run per partition, each made once per trigger."""
    return [
        dg.RunRequest(run_key=f"{trigger}/{key}", partition_key=key, tags={CAUSE: cause})
        for key in partitions
    ]


def _nightly(job: Any) -> dg.ScheduleDefinition:
    @dg.schedule(
        job=job,
        cron_schedule="0 2 * * *",
        description=(
            "Every night: a batch of all data, then every mode (requested by the sensor "
            "`batches`), then the pages. A feed whose files are still being written is left to "
            "the sensor `raw_files`."
        ),
    )
    @unless_halted
    def nightly(context: dg.ScheduleEvaluationContext, settings: Settings) -> dg.RunRequest:
        configs = current_configs()
        seconds = load_automation_limits(config_directory()).settle_seconds
        snapshots = take_snapshots(settings.data_dir, configs.datasets)
        late = being_written(snapshots, seconds, time.time())
        datasets = [
            name for name, config in configs.datasets.items() if not late & {name, *config.sources}
        ]
        left = f", without {', '.join(sorted(late))}: still being written" if late else ""
        night = f"{context.scheduled_execution_time:%Y-%m-%d}"
        feeds, cause = set(configs.datasets) - late, f"night of {night}{left}"
        return data_run(f"night-{night}", feeds, datasets, configs.mode_names, cause)

    return nightly


def _hourly_fetch(job: Any) -> dg.ScheduleDefinition:
    @dg.schedule(
        job=job,
        cron_schedule="5 * * * *",
        description=(
            "Every hour: fetches the missing data of the current month, and of the previous month "
            "while its gaps can still be repaired, one run per month. The sensor `raw_files` sees "
            "the new files."
        ),
    )
    @unless_halted
    def hourly_fetch(context: dg.ScheduleEvaluationContext, _: Settings) -> list[dg.RunRequest]:
        time = context.scheduled_execution_time
        before = time - GAPS_REPAIRED_FOR - ONE_DAY
        months = {day.date().replace(day=1).isoformat() for day in (before, time)}
        cause = f"fetch of {time:%Y-%m-%d %H:%M}"
        return _partition_runs(f"fetch-{time:%Y-%m-%dT%H}", sorted(months), cause)

    return hourly_fetch


def _weekly_sweeps(job: Any) -> dg.ScheduleDefinition:
    @dg.schedule(
        job=job,
        cron_schedule="0 6 * * 6",
        description=(
            "Every Saturday: the sweep of each mode that has a scenario set of its name, on the "
            "datasets of that night, one run per mode."
        ),
    )
    @unless_halted
    def weekly_sweeps(context: dg.ScheduleEvaluationContext, _: Settings) -> list[dg.RunRequest]:
        week = f"{context.scheduled_execution_time:%Y-%m-%d}"
        keys = study_partition_keys("sweep", sorted(current_configs().modes))
        return _partition_runs(f"sweep-{week}", keys, f"weekly sweep of {week}")

    return weekly_sweeps


def _hourly_accounts(job: Any, accounts: Sequence[str]) -> dg.ScheduleDefinition:
    @dg.schedule(
        job=job,
        cron_schedule="5 * * * *",
        description=(
            "Every hour: runs every account up to the current hour (fetch, run, signal, page), one "
            "run per account and hour. The next run catches up on missed hours. Continues during "
            "a halt, with the action `halt`."
        ),
    )
    def hourly_accounts(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        time = context.scheduled_execution_time
        cause = f"accounts of {time:%Y-%m-%d %H:%M}"
        return _partition_runs(f"accounts-{time:%Y-%m-%dT%H}", accounts, cause)

    return hourly_accounts
