"""`backtest_requests`: files of the inbox into the queue, the head of the queue into a run."""

import json
import time
from collections.abc import Mapping
from typing import Any

import dagster as dg

from basis_pipeline.config.automation import AutomationLimits
from basis_pipeline.config.current import current_configs
from basis_pipeline.operations.requests.inbox import empty_inbox
from basis_pipeline.operations.requests.queue import find, waiting
from basis_pipeline.orchestration.assets.requests import REQUESTS_JOB, requests_config
from basis_pipeline.orchestration.batches import UNFINISHED
from basis_pipeline.orchestration.sensors.working import while_work_goes_on
from basis_pipeline.settings import Settings

CALLERS = "basis/correlation_ids"  # of the calls that asked for what a run serves


def request_sensor(jobs: Mapping[str, Any], limits: AutomationLimits) -> dg.SensorDefinition:
    """One run at a time serves the requests at the head of the queue, in order."""

    @dg.sensor(
        name="backtest_requests",
        jobs=[jobs[REQUESTS_JOB]],
        minimum_interval_seconds=5,
        description=(
            "Backtest requests: reads settled files of <results>/inbox into the queue, moves them "
            "aside, and has the head of the queue served while no other run serves requests."
        ),
    )
    @while_work_goes_on
    def backtest_requests(
        context: dg.SensorEvaluationContext, settings: Settings
    ) -> dg.SensorResult:
        known = json.loads(context.cursor) if context.cursor else {}
        seen, number = known.get("seen", {}), known.get("number", 0)
        left = empty_inbox(
            settings,
            current_configs(),
            seen,
            limits.settle_seconds,
            time.time(),
            limits.requests_a_tick,
        )
        serving = dg.RunsFilter(job_name=REQUESTS_JOB, statuses=UNFINISHED)
        busy = context.instance.get_runs_count(serving)
        head = [] if busy else waiting(settings, limits.requests_a_run)
        # The number makes a batch that was not served through be asked for again.
        cursor = json.dumps({"seen": left, "number": number + bool(head)})
        if not head:
            why = "the requests at the head are being served" if busy else "no request waits"
            return dg.SensorResult(skip_reason=why, cursor=cursor)
        callers = {served.correlation_id for served in find(settings, head)} - {""}
        asked = dg.RunRequest(
            run_key=f"requests-{number}-{head[0]}-{head[-1]}",
            job_name=REQUESTS_JOB,
            run_config=requests_config(head),
            tags={
                "basis/requests": f"{head[0]}-{head[-1]}",
                **({CALLERS: " ".join(sorted(callers))} if callers else {}),
            },
        )
        return dg.SensorResult(run_requests=[asked], cursor=cursor)

    return backtest_requests
