"""`backtest_requests`: puts files of the inbox into the queue, and the head of it into a run."""

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
from basis_pipeline.orchestration.sensors.evaluation import unless_halted
from basis_pipeline.settings import Settings

CALLERS = "basis/correlation_ids"  # of the API calls whose requests a run serves


def request_sensor(jobs: Mapping[str, Any], limits: AutomationLimits) -> dg.SensorDefinition:
    """Request one run at a time, which serves the requests at the head of the queue in order."""

    @dg.sensor(
        name="backtest_requests",
        jobs=[jobs[REQUESTS_JOB]],
        minimum_interval_seconds=5,
        description=(
            "Backtest requests: puts files of <results>/inbox that have stopped changing into the "
            "queue and moves them aside; requests a run for the head of the queue while no other "
            "run serves requests."
        ),
    )
    @unless_halted
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
        # A new number in the run key requests a batch again that was not served completely.
        cursor = json.dumps({"seen": left, "number": number + bool(head)})
        if not head:
            reason = "a run is serving requests" if busy else "the queue is empty"
            return dg.SensorResult(skip_reason=reason, cursor=cursor)
        callers = {served.correlation_id for served in find(settings, head)} - {""}
        run = dg.RunRequest(
            run_key=f"requests-{number}-{head[0]}-{head[-1]}",
            job_name=REQUESTS_JOB,
            run_config=requests_config(head),
            tags={
                "basis/requests": f"{head[0]}-{head[-1]}",
                **({CALLERS: " ".join(sorted(callers))} if callers else {}),
            },
        )
        return dg.SensorResult(run_requests=[run], cursor=cursor)

    return backtest_requests
