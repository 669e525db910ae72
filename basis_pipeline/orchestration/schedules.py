"""Schedules in UTC, all shipped switched off, as Dagster has it: whoever runs them decides."""

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
from basis_pipeline.orchestration.partitions import own_keys
from basis_pipeline.orchestration.sensors.working import while_work_goes_on
from basis_pipeline.settings import Settings, config_directory

ONE_DAY = timedelta(days=1)


def all_schedules(jobs: Iterable[Any], accounts: Sequence[str]) -> list[dg.ScheduleDefinition]:
    """Every schedule; `jobs` are those they may request runs of."""
    by_name = {job.name: job for job in jobs}
    health = "Look at every component once an hour, also while work is halted."
    upkeep = (
        "Every night a backup of the results store, and removal of the oldest runs and signals "
        "beyond the limits of automation/limits.yaml; also while work is halted."
    )
    return [
        _nightly(by_name[DATA_JOB]),
        _weekly_sweeps(by_name[SWEEP_JOB]),
        _plain("hourly_health", HEALTH_JOB, "0 * * * *", health),
        _plain("nightly_upkeep", UPKEEP_JOB, "0 5 * * *", upkeep),
        *([_hourly_fetch(by_name[FETCH_JOB])] if FETCH_JOB in by_name else []),
        *([_hourly_accounts(by_name[ACCOUNTS_JOB], accounts)] if accounts else []),
    ]


def _plain(name: str, job: str, cron: str, description: str) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=name,
        job_name=job,
        cron_schedule=cron,
        description=description,
    )


def _nightly(job: Any) -> dg.ScheduleDefinition:
    @dg.schedule(
        job=job,
        cron_schedule="0 2 * * *",
        description=(
            "Every night a batch of everything: the data, then every mode (the sensor `batches`), "
            "then the pages. A feed that is being delivered at that moment is left to the sensor "
            "`raw_files`."
        ),
    )
    @while_work_goes_on
    def nightly(context: dg.ScheduleEvaluationContext, settings: Settings) -> dg.RunRequest:
        configs = current_configs()
        seconds = load_automation_limits(config_directory()).settle_seconds
        snapshots = take_snapshots(settings.data_dir, configs.datasets)
        late = being_written(snapshots, seconds, time.time())
        datasets = [
            name for name, config in configs.datasets.items() if not late & {name, *config.sources}
        ]
        left = f", but for {', '.join(sorted(late))}: being delivered" if late else ""
        night = f"{context.scheduled_execution_time:%Y-%m-%d}"
        feeds, cause = set(configs.datasets) - late, f"night of {night}{left}"
        return data_run(f"night-{night}", feeds, datasets, configs.mode_names, cause)

    return nightly


def _hourly_fetch(job: Any) -> dg.ScheduleDefinition:
    @dg.schedule(
        job=job,
        cron_schedule="5 * * * *",
        description=(
            "Every hour what is lacking of the current month, and of the one before until its gaps "
            "are given up: one run a month. The sensor `raw_files` sees what has come."
        ),
    )
    @while_work_goes_on
    def hourly_fetch(context: dg.ScheduleEvaluationContext, _: Settings) -> list[dg.RunRequest]:
        time = context.scheduled_execution_time
        before = time - GAPS_REPAIRED_FOR - ONE_DAY
        months = {day.date().replace(day=1).isoformat() for day in (before, time)}
        tags = {CAUSE: f"fetch of {time:%Y-%m-%d %H:%M}"}
        return [
            dg.RunRequest(run_key=f"fetch-{time:%Y-%m-%dT%H}/{key}", partition_key=key, tags=tags)
            for key in sorted(months)
        ]

    return hourly_fetch


def _weekly_sweeps(job: Any) -> dg.ScheduleDefinition:
    @dg.schedule(
        job=job,
        cron_schedule="0 6 * * 6",
        description=(
            "Every Saturday the sweep of each mode that has a scenario set of its name, on the "
            "datasets of the night: one run a mode."
        ),
    )
    @while_work_goes_on
    def weekly_sweeps(context: dg.ScheduleEvaluationContext, _: Settings) -> list[dg.RunRequest]:
        week = f"{context.scheduled_execution_time:%Y-%m-%d}"
        tags = {CAUSE: f"weekly sweep of {week}"}
        return [
            dg.RunRequest(run_key=f"sweep-{week}/{key}", partition_key=key, tags=tags)
            for key in own_keys("sweep", sorted(current_configs().modes))
        ]

    return weekly_sweeps


def _hourly_accounts(job: Any, accounts: Sequence[str]) -> dg.ScheduleDefinition:
    @dg.schedule(
        job=job,
        cron_schedule="5 * * * *",
        description=(
            "Every hour every account to the present hour: fetch, run, signal, page; one run an "
            "account, each hour once. Hours that were missed are caught up by the next run. Also "
            "while work is halted: then the action is halt."
        ),
    )
    def hourly_accounts(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        time = context.scheduled_execution_time
        tags = {CAUSE: f"accounts of {time:%Y-%m-%d %H:%M}"}
        return [
            dg.RunRequest(
                run_key=f"accounts-{time:%Y-%m-%dT%H}/{key}", partition_key=key, tags=tags
            )
            for key in accounts
        ]

    return hourly_accounts
