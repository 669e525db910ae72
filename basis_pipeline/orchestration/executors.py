"""The executor of several processes, which speaks for the run while its steps speak for themselves.

Steps in processes of their own open the audit log there; the process that starts them has no
resources, so that nobody would record the run's start and end.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster import DagsterEvent

from basis_pipeline.orchestration.resources import RunOptions

# A step for every core, from a process that has already imported what the steps need.
SEVERAL_PROCESSES = {
    "retries": {"enabled": {}},
    "max_concurrent": 0,
    "start_method": {"forkserver": {"preload_modules": ["basis_pipeline.definitions"]}},
}


class RecordedExecutor(dg.Executor):
    """Another executor, with the run's start and end in the audit log."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> Any:
        """As the other has it."""
        return self._inner.retries

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[DagsterEvent]:
        """Execute the plan as the other does."""
        run = plan_context.dagster_run
        options = RunOptions(**_given(run.run_config))
        with options.recording(plan_context.instance, run):
            yield from self._inner.execute(plan_context, execution_plan)


def _given(run_config: Mapping[str, Any]) -> Mapping[str, Any]:
    given: Mapping[str, Any] = run_config.get("resources", {}).get("options", {}).get("config", {})
    return given


def _several_processes(init: dg.InitExecutorContext) -> dg.Executor:
    create = dg.multiprocess_executor.executor_creation_fn
    assert create is not None
    own = dg.InitExecutorContext(init.job, init.executor_def, SEVERAL_PROCESSES, init.instance)
    return RecordedExecutor(create(own))


parallel_executor = dg.ExecutorDefinition(
    "parallel",
    requirements=dg.multiple_process_executor_requirements(),
    executor_creation_fn=_several_processes,
)
