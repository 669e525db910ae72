"""`health`: the state of every component, looked at by a schedule, a check each."""

from collections.abc import Iterator

import dagster as dg
import pandas as pd

from basis_pipeline.config import Configs
from basis_pipeline.config.health import load_health_limits
from basis_pipeline.operations.health.check import check_health
from basis_pipeline.operations.health.graph import Names, component_graph
from basis_pipeline.operations.health.model import Component, Health, Status
from basis_pipeline.orchestration.checks import check_result, check_spec
from basis_pipeline.orchestration.facts import facts_of
from basis_pipeline.orchestration.failures import coded_failures
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.orchestration.tables import table
from basis_pipeline.settings import project_root
from basis_pipeline.verdict import judge

HEALTH = dg.AssetKey(["health"])
PHASE = 4
CODE_VERSION = "1"
# What a nightly run can live with is passed; an unhealthy component is an error.
PASSING = (Status.HEALTHY, Status.NOT_READY, Status.UNKNOWN)


def check_of(component: str) -> str:
    """Name of a component's check."""
    return component.replace("/", "_")


def health_asset(configs: Configs) -> dg.AssetsDefinition:
    """The report as an asset, one check a component."""
    names = Names(tuple(sorted(configs.datasets)), tuple(sorted(configs.modes)))
    components = component_graph(names, configs, {})

    @dg.asset(
        key=HEALTH,
        check_specs=[
            check_spec(
                HEALTH, check_of(name), "ERROR", f"{name} is well, so is what it needs", PHASE
            )
            for name in components
        ],
        group_name="health",
        kinds={"json"},
        owners=["team:platform"],
        code_version=CODE_VERSION,
        description=(
            "Whether every component works: settings, configuration, data families, panels, "
            "engine, results store, event log, daemon, sensors, disk, memory; and what each that "
            "does not stops. Observed every hour once its schedule is switched on.\n\n"
            "**Units:** durations in seconds; a component is healthy, degraded, unhealthy, not "
            "ready or unknown. **Source:** the instance, the directories a run would use, and the "
            "durations of its latest steps.\n\n"
            "**What is at stake:** whether tonight's run can come through. It decides no figure."
        ),
    )
    def health(
        context: dg.AssetExecutionContext, options: RunOptions
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Look at every component."""
        with coded_failures():
            found = observed(context.instance, options)
        yield dg.MaterializeResult(
            metadata={
                "status": found.status.value,
                **_tally(found),
                "components": table(_rows(found), limit=200),
                "durations": table(_durations(found), limit=200),
                "report": dg.MetadataValue.json(found.as_json()),
            },
            check_results=[_result(component) for component in found.components],
        )

    return health


def observed(instance: dg.DagsterInstance, options: RunOptions) -> Health:
    """The report on the places a run would use, with the instance's facts."""
    config_dir = project_root() / "configs"
    limits = load_health_limits(config_dir)
    facts = facts_of(instance, options.configs.datasets.values(), limits.history_runs)
    return check_health(
        facts, config_dir=config_dir, data_dir=options.data_dir, results_dir=options.results_dir
    )


def _result(component: Component) -> dg.AssetCheckResult:
    """ERROR where it is unhealthy or stopped by what is, WARN where it is degraded."""
    is_stopped = component.status is Status.NOT_READY and bool(component.affected_by)
    passed = component.status in PASSING and not is_stopped
    error = {"code": component.code, "where": component.where}
    verdict = judge(
        check_of(component.name),
        "ERROR" if component.status is Status.UNHEALTHY else "WARN",
        passed,
        f"{component.status}: {component.told}",
        evidence={
            "health": component.status.value,
            "since": component.since.isoformat(),
            "affected_by": ", ".join(component.affected_by) or "nobody",
            **{name: value for name, value in error.items() if value},
        },
        phase=PHASE,
    )
    return check_result(HEALTH, verdict)


def _tally(health: Health) -> dict[str, int]:
    """How many components have each status."""
    found = [component.status for component in health.components]
    return {f"components_{word.name.lower()}": found.count(word) for word in Status}


def _rows(health: Health) -> pd.DataFrame:
    return pd.DataFrame(
        [
            (c.name, c.status.value, c.told, c.code, c.since, ", ".join(c.affected_by))
            for c in health.components
        ],
        columns=["component", "status", "told", "code", "since", "affected_by"],
    )


def _durations(health: Health) -> pd.DataFrame:
    slow = {entry.operation: entry.why_slow for entry in health.slow}
    return pd.DataFrame(
        [
            (d.operation, d.component, d.count, d.p50, d.p95, d.p99, slow.get(d.operation, ""))
            for d in (*health.durations, *health.latencies)
        ],
        columns=["operation", "component", "count", "p50_s", "p95_s", "p99_s", "slow"],
    )
