"""The executor of several processes, which speaks for the run while its steps speak for themselves.

Steps in processes of their own open the event log there; the process that starts them has no
resources, so that nobody would tell of the run's start and end.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster import DagsterEvent
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.multiprocess import MultiprocessExecutor

from basis_pipeline.orchestration.resources import RunOptions


class RecordedExecutor(dg.Executor):
    """Another executor, with the run's start and end told to the event log."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> RetryMode:
        """As the other says."""
        return self._inner.retries

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[DagsterEvent]:
        """Execute the plan as the other does."""
        run = plan_context.dagster_run
        options = RunOptions(**_asked(run.run_config))
        with options.recording(plan_context.instance, run):
            yield from self._inner.execute(plan_context, execution_plan)


def _asked(run_config: Mapping[str, Any]) -> Mapping[str, Any]:
    asked: Mapping[str, Any] = run_config.get("resources", {}).get("options", {}).get("config", {})
    return asked


def _several_processes(_: dg.InitExecutorContext) -> RecordedExecutor:
    """Steps in processes of their own, as many at a time as there are cores.

    They start from a process that has already imported what they need.
    """
    several = MultiprocessExecutor(
        retries=RetryMode.ENABLED,
        max_concurrent=0,
        start_method="forkserver",
        explicit_forkserver_preload=["basis_pipeline.definitions"],
    )
    return RecordedExecutor(several)


parallel_executor = dg.ExecutorDefinition(
    "parallel",
    requirements=dg.multiple_process_executor_requirements(),
    executor_creation_fn=_several_processes,
)
