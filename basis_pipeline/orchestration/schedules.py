"""Schedules, all shipped switched off: whoever runs the platform decides."""

import time
from collections.abc import Iterable

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from basis_pipeline.config.automation import load_automation_limits
from basis_pipeline.operations.deliveries import scan, still_growing
from basis_pipeline.orchestration.batches import DATA_JOB, data_run
from basis_pipeline.orchestration.jobs import HEALTH_JOB
from basis_pipeline.orchestration.resources import current_configs
from basis_pipeline.orchestration.sensors.working import while_work_goes_on
from basis_pipeline.settings import Settings, project_root


def all_schedules(
    jobs: Iterable[UnresolvedAssetJobDefinition],
) -> list[dg.ScheduleDefinition]:
    """Every schedule; `jobs` are those they may request runs of."""
    by_name = {job.name: job for job in jobs}
    return [
        _nightly(by_name[DATA_JOB]),
        dg.ScheduleDefinition(
            name="hourly_health",
            job_name=HEALTH_JOB,
            cron_schedule="0 * * * *",
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description="Look at every component once an hour, also while work is halted.",
        ),
    ]


def _nightly(job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
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
        seconds = load_automation_limits(project_root() / "configs").settle_seconds
        tree = scan(settings.data_dir, (config.glob for config in configs.datasets.values()))
        late = still_growing(tree, configs.datasets, seconds, time.time())
        datasets = [
            name for name, config in configs.datasets.items() if not late & {name, *config.sources}
        ]
        left = f", but for {', '.join(sorted(late))}: being delivered" if late else ""
        night = f"{context.scheduled_execution_time:%Y-%m-%d}"
        families = set(configs.datasets) - late
        modes = sorted(configs.modes)
        return data_run(f"night-{night}", families, datasets, modes, f"night of {night}{left}")

    return nightly
