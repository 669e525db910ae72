"""Schedules, all shipped switched off: whoever runs the platform decides."""

import dagster as dg

from basis_pipeline.orchestration.jobs import HEALTH_JOB


def all_schedules() -> list[dg.ScheduleDefinition]:
    """Every schedule."""
    return [
        dg.ScheduleDefinition(
            name="hourly_health",
            job_name=HEALTH_JOB,
            cron_schedule="0 * * * *",
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description="Look at every component once an hour.",
        )
    ]
