"""Schedules, all shipped switched off: whoever runs the platform decides."""

import time
from collections.abc import Iterable
from typing import Any

import dagster as dg

from basis_pipeline.config.automation import load_automation_limits
from basis_pipeline.operations.file_changes import being_written, take_snapshots
from basis_pipeline.orchestration.batches import CAUSE, DATA_JOB, data_run
from basis_pipeline.orchestration.jobs import HEALTH_JOB, SWEEP_JOB, UPKEEP_JOB
from basis_pipeline.orchestration.partitions import own_keys
from basis_pipeline.orchestration.resources import current_configs
from basis_pipeline.orchestration.sensors.working import while_work_goes_on
from basis_pipeline.settings import Settings, config_directory


def all_schedules(
    jobs: Iterable[Any],
) -> list[dg.ScheduleDefinition]:
    """Every schedule; `jobs` are those they may request runs of."""
    by_name = {job.name: job for job in jobs}
    return [
        _nightly(by_name[DATA_JOB]),
        _weekly_sweeps(by_name[SWEEP_JOB]),
        dg.ScheduleDefinition(
            name="hourly_health",
            job_name=HEALTH_JOB,
            cron_schedule="0 * * * *",
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description="Look at every component once an hour, also while work is halted.",
        ),
        dg.ScheduleDefinition(
            name="nightly_upkeep",
            job_name=UPKEEP_JOB,
            cron_schedule="0 5 * * *",
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description=(
                "Every night a backup of the results store, and removal of the oldest runs beyond "
                "the limits of configs/automation/limits.yaml; also while work is halted."
            ),
        ),
    ]


def _nightly(job: Any) -> dg.ScheduleDefinition:
    """Everything anew: all data, all modes, the comparison."""

    @dg.schedule(
        name="nightly",
        job=job,
        cron_schedule="0 2 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=(
            "Every night a batch of everything: the data, then every mode, then the comparison "
            "(the sensor `batches` requests what follows). A family that is being delivered at "
            "that moment is left to the sensor `raw_files`."
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
        families = set(configs.datasets) - late
        modes = configs.mode_names
        return data_run(f"night-{night}", families, datasets, modes, f"night of {night}{left}")

    return nightly


def _weekly_sweeps(job: Any) -> dg.ScheduleDefinition:
    """The numbers of every mode varied, once a week."""

    @dg.schedule(
        name="weekly_sweeps",
        job=job,
        cron_schedule="0 6 * * 6",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=(
            "Every Saturday the sweep of each mode over its own set of points, on the datasets of "
            "the night: one run a mode that has a set of its name."
        ),
    )
    @while_work_goes_on
    def weekly_sweeps(context: dg.ScheduleEvaluationContext, _: Settings) -> list[dg.RunRequest]:
        week = f"{context.scheduled_execution_time:%Y-%m-%d}"
        return [
            dg.RunRequest(
                run_key=f"sweep-{week}/{key}",
                partition_key=key,
                tags={CAUSE: f"weekly sweep of {week}"},
            )
            for key in own_keys("sweep", sorted(current_configs().modes))
        ]

    return weekly_sweeps
