"""`stress/scenarios`, `montecarlo/paths` and `sweep/points` by mode and scenario set; and folds.

`walk_forward/folds` is by mode alone.

Each partition runs many scenarios of one mode over the datasets of the warehouse, in one step:
batches are kept below the results directory, and a step that was stopped goes on where it was.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field

from basis_pipeline.config import parse_assignments
from basis_pipeline.config.scenario import OWN_SETS, ScenarioSet, load_scenario_set, set_file
from basis_pipeline.config.walk_forward import load_walk_forward
from basis_pipeline.engine import ENGINE_VERSION
from basis_pipeline.errors import BasisError, DataError
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.window import Window
from basis_pipeline.operations.control import require_work
from basis_pipeline.orchestration.assets.backtest import SIMULATION
from basis_pipeline.orchestration.assets.config import MODE
from basis_pipeline.orchestration.assets.dataset import dataset_key
from basis_pipeline.orchestration.checks import check_results, check_spec
from basis_pipeline.orchestration.failures import as_failure
from basis_pipeline.orchestration.io_managers import ParquetIOManager
from basis_pipeline.orchestration.partitions import Part, of_the_same_mode, study_partitions
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.orchestration.tables import table
from basis_pipeline.orchestration.upstream_gate import require_passing
from basis_pipeline.orchestration.versions import version_of
from basis_pipeline.runs import scenario_checks, walk_forward
from basis_pipeline.runs.checks import BLOCKING
from basis_pipeline.runs.fan_out import executor
from basis_pipeline.runs.scenario_report import write_report
from basis_pipeline.runs.scenarios import Study, inside, nothing_inside, study_of
from basis_pipeline.runs.sweep import identity_of, place_of, read_rows, sweep
from basis_pipeline.settings import config_directory

SHOWN = 20
LEAVES = {
    "stress": "scenarios",
    "montecarlo": "paths",
    "sweep": "points",
    "walk_forward": "folds",
}
PARTS = (
    "**Partitions:** a mode and a scenario set meant for it, each with a page and checks of its "
    "own. Any other set of `configs/scenarios/` runs from the command line."
)
ROWS = (
    "**Units:** figures as shares (0.05 is 5 %) unless they count, amounts in the share class's "
    "currency; a row a scenario, its figures those of a single run to the bit."
)
SOURCE = (
    "**Source:** the datasets of the warehouse and the mode's configuration; {file}. The rows' "
    "identity is the hash of all of them with window, capital and engine."
)
WHAT = {
    "stress": (
        "Shocks or replayed crises over one mode: what its worst day could look like, held to the "
        "limits that the scenario set states. Replays outside of the window are left out."
    ),
    "montecarlo": (
        "One mode over histories that never were: blocks of about a week of the one that was, in "
        "random order, returns, funding and rates staying together."
    ),
    "sweep": "A scenario set over one mode: thousands of points of the numbers it can choose.",
    "walk_forward": (
        "Numbers of one mode chosen on rolling train windows by a stated objective under "
        "constraints, and looked at on the tests after: what is lost between the two, and how much "
        "of the chosen point is luck."
    ),
}
SET = "the scenario set's file in `configs/scenarios/`"
FILES = {
    "stress": f"{SET}: `crises` and `replays` unless others are asked for",
    "montecarlo": f"{SET}: `bootstrapped` unless others are asked for",
    "sweep": f"{SET}: the one named as the mode unless others are asked for",
    "walk_forward": "`configs/walk_forward/<mode>.yaml`",
}
AT_STAKE = {
    "stress": (
        "a mode that looks calm on the history it was made for. Watch the worst drawdown and "
        "liquidations: a mode that fails here is too large for its margin."
    ),
    "montecarlo": (
        "taking one history for the only one. Watch how far the worst paths lie from the median."
    ),
    "sweep": (
        "which numbers matter and which do not. A scenario that does not reconcile means that the "
        "engine is wrong there, whatever the single run says."
    ),
    "walk_forward": (
        "numbers that fit the past alone. Watch degradation, and whether the choice sits on the "
        "edge of its grid; the deflated Sharpe ratio is strict where points truly differ."
    ),
}


def described(kind: str) -> str:
    """What the UI says of the asset of a kind."""
    source, stake = SOURCE.format(file=FILES[kind]), f"**What is at stake:** {AT_STAKE[kind]}"
    parts = [PARTS] if kind in OWN_SETS else []
    return "\n\n".join((WHAT[kind], *parts, ROWS, source, stake))


class Fanning(dg.Config):
    """By whom scenarios are computed."""

    workers: int | None = Field(default=None, description="Dask worker processes, not threads")
    scheduler: str | None = Field(default=None, description="address of a Dask scheduler")


def study_assets(modes: dg.StaticPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Every asset that runs many scenarios: a partition a mode and set, or a mode and its plan."""
    return [*(_sets_asset(kind, modes) for kind in OWN_SETS), _walk_forward_asset(modes)]


def study_key(kind: str) -> dg.AssetKey:
    """Key of the asset of a kind."""
    return dg.AssetKey([kind, LEAVES[kind]])


def _checks(
    key: dg.AssetKey, asked: scenario_checks.Asked, partitions: dg.PartitionsDefinition[str]
) -> list[dg.AssetCheckSpec]:
    return [
        check_spec(key, name, severity, asks, scenario_checks.PHASE, partitions)
        for name, (severity, asks) in asked.items()
    ]


def _sets_asset(kind: str, modes: dg.StaticPartitionsDefinition) -> dg.AssetsDefinition:
    key, partitions = study_key(kind), study_partitions(kind, modes)
    same = of_the_same_mode(partitions)

    @dg.asset(
        key=key,
        deps=[dg.AssetDep(upstream, partition_mapping=same) for upstream in (MODE, SIMULATION)],
        partitions_def=partitions,
        check_specs=_checks(key, scenario_checks.CHECKS, partitions),
        group_name=key.path[0],
        kinds={"numba", "parquet"},
        owners=["team:strategy"],
        code_version=ENGINE_VERSION,
        description=described(kind),
    )
    def scenarios(
        context: dg.AssetExecutionContext,
        config: Fanning,
        options: RunOptions,
        warehouse: dg.ResourceParam[ParquetIOManager],
        part: dg.ResourceParam[Part],
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Run what of the set lies in the window, and judge its rows."""
        try:
            chosen = load_scenario_set(set_file(config_directory(), part.scenario_set))
            _require_sound(context, options, part)
            kept, outside = inside(chosen, options.window)
            if kept is None:
                raise nothing_inside(outside, options.window)
            study = _study(kept, part.mode, options, warehouse)
            place = _swept(study, options, kind, config)
            rows = read_rows(study, place, scenario_checks.JUDGED).to_pandas()
            found = scenario_checks.scenario_checks(rows, kept)
            page = write_report(study, place, rows, found)
        except BasisError as error:
            raise as_failure(error) from error
        left_out = {"left_out": ", ".join(outside)} if outside else {}
        yield dg.MaterializeResult(
            data_version=version_of([identity_of(study)]),
            metadata={**_facts(rows, page), **left_out},
            check_results=check_results(key, found, context.selected_asset_check_keys),
        )

    return scenarios


def _walk_forward_asset(modes: dg.StaticPartitionsDefinition) -> dg.AssetsDefinition:
    key = study_key("walk_forward")

    @dg.asset(
        key=key,
        deps=[MODE, SIMULATION],
        partitions_def=modes,
        check_specs=_checks(key, walk_forward.CHECKS, modes),
        group_name=key.path[0],
        kinds={"numba", "parquet"},
        owners=["team:strategy"],
        code_version=ENGINE_VERSION,
        description=described("walk_forward"),
    )
    def folds(
        context: dg.AssetExecutionContext,
        config: Fanning,
        options: RunOptions,
        warehouse: dg.ResourceParam[ParquetIOManager],
        part: dg.ResourceParam[Part],
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Sweep the plan's grid over every window, choose, look, judge."""
        mode = part.mode
        try:
            _require_sound(context, options, part)
            plan = load_walk_forward(config_directory(), options.configs, mode)
            scenarios = walk_forward.scenario_set(plan, options.window)
            study = _study(scenarios, mode, options, warehouse)
            place = _swept(study, options, "walk_forward", config)
            walked = walk_forward.walk(plan, study, place)
            walk_forward.write_walk(walked, place)
            found = walk_forward.walk_forward_checks(walked)
            page = write_report(study, place, walked.points, found, walked.folds)
        except BasisError as error:
            raise as_failure(error) from error
        summary = walk_forward.summary_of(walked)
        figures = {name: value for name, value in summary.items() if value is not None}
        yield dg.MaterializeResult(
            data_version=version_of([identity_of(study)]),
            metadata={
                **{n: v for n, v in figures.items() if isinstance(v, (int, float, str))},
                "chosen": dg.MetadataValue.json(summary["chosen"]),
                "folds_table": table(walked.folds, limit=SHOWN),
                "page": dg.MetadataValue.path(page),
            },
            check_results=check_results(key, found, context.selected_asset_check_keys),
        )

    return folds


def _require_sound(context: dg.AssetExecutionContext, options: RunOptions, part: Part) -> None:
    """Scenarios are variations of a backtest: of one that is wrong there are none."""
    asset = f"{context.asset_key.to_user_string()}[{part.key}]"
    require_work(options.settings, asset)
    require_passing(
        context.instance,
        [dg.AssetCheckKey(SIMULATION, name) for name in BLOCKING],
        asset,
        run_id=context.run.run_id,
        origin=options.origin,
        partition=part.mode,
    )


def _study(
    scenarios: ScenarioSet, mode: str, options: RunOptions, warehouse: ParquetIOManager
) -> Study:
    def load(names: Collection[str], _: Window) -> Mapping[str, Dataset | DataError]:
        return {name: warehouse.load(dataset_key(name)) for name in sorted(names)}

    return study_of(
        options.configs,
        mode,
        scenarios,
        load,
        options.window,
        capital=options.capital,
        overrides=parse_assignments(options.overrides),
    )


def _swept(study: Study, options: RunOptions, kind: str, config: Fanning) -> Path:
    place = place_of(study, options.settings.results_dir, kind)
    with executor(None, config.workers, config.scheduler) as run:
        sweep(study, place, run=run)
    return place


def _facts(rows: pd.DataFrame, page: Path) -> dict[str, Any]:
    shown = scenario_checks.worst(rows, SHOWN)[list(scenario_checks.SHOWN)]
    return {
        "points": len(rows),
        "worst_return": float(rows["total_return"].min()),
        "worst": table(shown, limit=SHOWN),
        "page": dg.MetadataValue.path(page),
    }
