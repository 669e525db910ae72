"""`stress/scenarios`, `montecarlo/paths` and `sweep/points` by mode and scenario set.

`walk_forward/folds` is partitioned by mode alone.

Each partition runs many scenarios of one mode over the datasets of the warehouse in one step.
Batches are stored below the results directory, and a step that was stopped resumes from them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from basis_pipeline.backtests import scenario_checks, walk_forward
from basis_pipeline.backtests.checks import BLOCKING
from basis_pipeline.backtests.fan_out import executor
from basis_pipeline.backtests.scenario_report import write_report, write_walk_report
from basis_pipeline.backtests.scenarios import Study, inside, nothing_inside, study_of
from basis_pipeline.backtests.sweep import identity_of, place_of, read_rows, sweep
from basis_pipeline.config import parse_assignments
from basis_pipeline.config.scenario import OWN_SETS, ScenarioSet, load_scenario_set, set_file
from basis_pipeline.config.walk_forward import load_walk_forward
from basis_pipeline.engine import ENGINE_VERSION
from basis_pipeline.errors import DataError
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.window import Window
from basis_pipeline.operations.control import require_not_halted
from basis_pipeline.orchestration.assets.backtest import SIMULATION
from basis_pipeline.orchestration.assets.config import MODE
from basis_pipeline.orchestration.assets.dataset import dataset_key
from basis_pipeline.orchestration.checks import check_results, check_spec
from basis_pipeline.orchestration.failures import coded_failures
from basis_pipeline.orchestration.io_managers import ParquetIOManager
from basis_pipeline.orchestration.metadata import table, version_of
from basis_pipeline.orchestration.partitions import Part, same_mode_mapping, study_partition_keys
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.orchestration.upstream_gate import require_passing
from basis_pipeline.reports.page import Provenance
from basis_pipeline.results.origin import Origin
from basis_pipeline.settings import config_directory
from basis_pipeline.verdict import Verdict

SHOWN = 20
LEAVES = {"stress": "scenarios", "montecarlo": "paths", "sweep": "points", "walk_forward": "folds"}
WHAT = {
    "stress": (
        "Shocks and replayed crises of one mode, compared with the limits of the scenario set. "
        "Replays outside the window are left out."
    ),
    "montecarlo": (
        "One mode over bootstrapped price paths: blocks of about a week of history in random "
        "order, with returns, funding and rates kept together."
    ),
    "sweep": "A scenario set over one mode: thousands of points of its parameters.",
    "walk_forward": (
        "Parameters of one mode chosen on rolling train windows by the objective of its plan, and "
        "judged on the test windows after them: the degradation between the two, and how much of "
        "the result is luck."
    ),
}
AT_STAKE = {
    "stress": "a mode that fails here is too large for its margin, even with a calm history.",
    "montecarlo": "history is only one of the possible paths: compare it with the worst ones.",
    "sweep": "which parameters matter. A point that does not reconcile means a wrong engine.",
    "walk_forward": "overfitted parameters: look at degradation and at the edges of the grid.",
}


def _description(kind: str) -> str:
    """Return the description of the asset of a kind."""
    files = f"`configs/{'scenarios' if kind in OWN_SETS else kind}/`"
    partition = "a mode and a scenario set meant for it" if kind in OWN_SETS else "a mode"
    return (
        f"{WHAT[kind]} A partition is {partition}; any other set runs from the command line.\n\n"
        "**Units:** ratios as shares, amounts in the share class's currency; one row per scenario, "
        "bit-identical to a single run. **Source:** the datasets of the warehouse, the mode's "
        f"configuration and {files}; the hash of these is the identity of the rows. "
        f"**What is at stake:** {AT_STAKE[kind]}"
    )


class Workers(dg.Config):
    """The processes that compute the scenarios."""

    workers: int | None = Field(default=None, description="Dask worker processes, not threads")
    scheduler: str | None = Field(default=None, description="address of a Dask scheduler")


def study_assets(modes: dg.StaticPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Return the assets that run many scenarios, by mode and set, or by mode and plan."""
    return [*(_sets_asset(kind, modes) for kind in OWN_SETS), _walk_forward_asset(modes)]


def study_key(kind: str) -> dg.AssetKey:
    """Return the asset key of a kind of study."""
    return dg.AssetKey([kind, LEAVES[kind]])


def _asset(
    kind: str,
    checks: scenario_checks.CheckTable,
    partitions: dg.PartitionsDefinition[str],
    upstream: dg.PartitionMapping | None = None,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Declare the asset of a kind; `upstream` maps the partitions of modes to its own."""
    key = study_key(kind)
    return dg.asset(
        key=key,
        deps=[dg.AssetDep(asset, partition_mapping=upstream) for asset in (MODE, SIMULATION)],
        partitions_def=partitions,
        check_specs=[
            check_spec(key, name, severity, description, scenario_checks.PHASE, partitions)
            for name, (severity, description) in checks.items()
        ],
        group_name=kind,
        kinds={"numba", "parquet"},
        owners=["team:strategy"],
        code_version=ENGINE_VERSION,
        description=_description(kind),
    )


def _sets_asset(kind: str, modes: dg.StaticPartitionsDefinition) -> dg.AssetsDefinition:
    keys = study_partition_keys(kind, modes.get_partition_keys())
    partitions = dg.StaticPartitionsDefinition(keys)

    @_asset(kind, scenario_checks.CHECKS, partitions, same_mode_mapping(partitions))
    def scenarios(
        context: dg.AssetExecutionContext,
        config: Workers,
        options: RunOptions,
        warehouse: dg.ResourceParam[ParquetIOManager],
        part: dg.ResourceParam[Part],
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Run the scenarios of the set that lie in the window, and check their rows."""
        with coded_failures():
            chosen = load_scenario_set(set_file(config_directory(), part.scenario_set))
            _require_sound(context, options, part)
            inner, outside = inside(chosen, options.window)
            if inner is None:
                raise nothing_inside(outside, options.window)
            study, place = _swept(inner, kind, part.mode, options, warehouse, config)
            rows = read_rows(study, place, scenario_checks.JUDGED).to_pandas()
            verdicts = scenario_checks.scenario_checks(rows, inner)
            page = write_report(study, place, rows, verdicts, *_written_by(context, options))
        worst = scenario_checks.worst(rows, SHOWN)[list(scenario_checks.SHOWN)]
        metadata = {
            "points": len(rows),
            "worst_return": float(rows["total_return"].min()),
            "worst": table(worst, limit=SHOWN),
            **({"left_out": ", ".join(outside)} if outside else {}),
        }
        yield _result(context, study, page, verdicts, metadata)

    return scenarios


def _walk_forward_asset(modes: dg.StaticPartitionsDefinition) -> dg.AssetsDefinition:
    @_asset("walk_forward", walk_forward.CHECKS, modes)
    def folds(
        context: dg.AssetExecutionContext,
        config: Workers,
        options: RunOptions,
        warehouse: dg.ResourceParam[ParquetIOManager],
        part: dg.ResourceParam[Part],
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Sweep the plan's grid over every window, choose parameters, and judge them."""
        with coded_failures():
            _require_sound(context, options, part)
            plan = load_walk_forward(config_directory(), options.configs, part.mode)
            grid = walk_forward.scenario_set(plan, options.window)
            study, place = _swept(grid, "walk_forward", part.mode, options, warehouse, config)
            walked = walk_forward.walk(plan, study, place)
            walk_forward.write_walk(walked, place)
            verdicts = walk_forward.walk_forward_checks(walked)
            written_by = _written_by(context, options)
            page = write_walk_report(walked, study, place, verdicts, *written_by)
        summary = walk_forward.summary_of(walked)
        metadata = {
            **{n: v for n, v in summary.items() if isinstance(v, (int, float, str))},
            "chosen": dg.MetadataValue.json(summary["chosen"]),
            "folds_table": table(walked.folds, limit=SHOWN),
        }
        yield _result(context, study, page, verdicts, metadata)

    return folds


def _require_sound(context: dg.AssetExecutionContext, options: RunOptions, part: Part) -> None:
    """Raise unless work is open and the backtest that the scenarios vary passes its checks."""
    asset = f"{context.asset_key.to_user_string()}[{part.key}]"
    require_not_halted(options.settings, asset)
    require_passing(
        context.instance,
        [dg.AssetCheckKey(SIMULATION, name) for name in BLOCKING],
        asset,
        run_id=context.run.run_id,
        origin=options.origin,
        partition=part.mode,
    )


def _swept(
    scenarios: ScenarioSet,
    kind: str,
    mode: str,
    options: RunOptions,
    warehouse: ParquetIOManager,
    config: Workers,
) -> tuple[Study, Path]:
    """Run every scenario over the datasets of the warehouse; return the study and its directory."""

    def load(names: Collection[str], _: Window) -> Mapping[str, Dataset | DataError]:
        return {name: warehouse.load(dataset_key(name)) for name in sorted(names)}

    overrides, capital = parse_assignments(options.overrides), options.capital
    study = study_of(
        *(options.configs, mode, scenarios, load, options.window),
        capital=capital,
        overrides=overrides,
    )
    place = place_of(study, options.settings.results_dir, kind)
    with executor(None, config.workers, config.scheduler) as run:
        sweep(study, place, run=run)
    return study, place


def _written_by(
    context: dg.AssetExecutionContext, options: RunOptions
) -> tuple[Origin, Provenance]:
    """Return the origin of a page's data and code, and the run that wrote it."""
    provenance = Provenance.now(context.run.run_id, options.settings.environment)
    return Origin.of(options.settings.data_dir), provenance


def _result(
    context: dg.AssetExecutionContext,
    study: Study,
    page: Path,
    verdicts: Sequence[Verdict],
    metadata: Mapping[str, Any],
) -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(
        data_version=version_of([identity_of(study)]),
        metadata={**metadata, "page": dg.MetadataValue.path(page)},
        check_results=check_results(context.asset_key, verdicts, context.selected_asset_check_keys),
    )
