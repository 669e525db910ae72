"""`health`: the state of every component, one check each, observed by a schedule."""

from collections.abc import Iterator
from dataclasses import asdict

import dagster as dg
import pandas as pd

from basis_pipeline.config import Configs
from basis_pipeline.config.health import load_health_limits
from basis_pipeline.operations.health.check import check_health, component_names
from basis_pipeline.operations.health.model import Component, Health, Status
from basis_pipeline.orchestration.checks import check_result, check_spec
from basis_pipeline.orchestration.failures import coded_failures
from basis_pipeline.orchestration.instance_metrics import instance_metrics
from basis_pipeline.orchestration.metadata import table
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.settings import config_directory
from basis_pipeline.verdict import judge

HEALTH = dg.AssetKey(["health"])
PHASE = 4
CODE_VERSION = "2"
COLUMNS = ["name", "status", "message", "code"]
# A nightly run can succeed with components in these states.
PASSING = (Status.HEALTHY, Status.NOT_READY, Status.UNKNOWN)


def check_of(component: str) -> str:
    """Return the name of a component's check."""
    return component.replace("/", "_")


def health_asset(configs: Configs) -> dg.AssetsDefinition:
    """Return the asset of the health report, with one check per component."""

    @dg.asset(
        key=HEALTH,
        check_specs=[
            check_spec(
                HEALTH, check_of(name), "ERROR", f"{name} and the components it needs work", PHASE
            )
            for name in component_names(configs)
        ],
        group_name="health",
        kinds={"json"},
        owners=["team:platform"],
        code_version=CODE_VERSION,
        description=(
            "The state of every component: settings, configuration, data feeds, modes, results "
            "store, event log, daemon, sensors, disk, memory; and what each component that does "
            "not work stops. Observed every hour once its schedule is switched on.\n\n"
            "**Units:** durations in seconds; a component is healthy, degraded, unhealthy, not "
            "ready or unknown. **Source:** the instance, the directories a run would use, and the "
            "durations of its latest steps.\n\n"
            "**What is at stake:** whether tonight's run can succeed. It changes no figure."
        ),
    )
    def health(
        context: dg.AssetExecutionContext, options: RunOptions
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Check every component."""
        with coded_failures():
            report = _report(context.instance, options)
        statuses = [component.status for component in report.components]
        counts = {f"components_{s.name.lower()}": statuses.count(s) for s in Status}
        yield dg.MaterializeResult(
            metadata={
                "status": report.status.value,
                **counts,
                "components": table(
                    pd.DataFrame(report.to_json()["components"])[COLUMNS], limit=200
                ),
                "durations": table(pd.DataFrame(map(asdict, report.durations)), limit=200),
                "report": dg.MetadataValue.json(report.to_json()),
            },
            check_results=[_result(component, report) for component in report.components],
        )

    return health


def _report(instance: dg.DagsterInstance, options: RunOptions) -> Health:
    """Check the places a run would use, with the metrics of the instance."""
    config_dir = config_directory()
    limits = load_health_limits(config_dir)
    metrics = instance_metrics(instance, options.configs.datasets.values(), limits.history_runs)
    return check_health(
        metrics, config_dir=config_dir, data_dir=options.data_dir, results_dir=options.results_dir
    )


def _result(component: Component, report: Health) -> dg.AssetCheckResult:
    """Return ERROR for an unhealthy component, WARN for a degraded or affected one."""
    is_stopped = component.status is Status.NOT_READY and bool(component.affected_by)
    passed = component.status in PASSING and not is_stopped
    error = {"code": component.code, "where": component.where}
    verdict = judge(
        check_of(component.name),
        "ERROR" if component.status is Status.UNHEALTHY else "WARN",
        passed,
        f"{component.status}: {component.message}",
        evidence={
            "health": component.status.value,
            "affected_by": ", ".join(component.affected_by) or "none",
            **{name: value for name, value in error.items() if value},
        },
        cause="" if passed else _cause(component, report),
        phase=PHASE,
    )
    return check_result(HEALTH, verdict)


def _cause(component: Component, report: Health) -> str:
    """Return the fault of a component: its own, or of the first one that affects it."""
    affecting = (report.by_name[name].cause for name in component.affected_by)
    return component.cause or next(filter(None, affecting), "")
