"""`backtest/simulation[mode]`: the engine over one panel, and the checks of what came out."""

import time
from collections.abc import Iterator
from typing import Any

import dagster as dg

from basis_pipeline.config import ModeSlice
from basis_pipeline.engine import ENGINE_VERSION
from basis_pipeline.errors import BasisError
from basis_pipeline.market.panel import Panel
from basis_pipeline.operations.control import require_work
from basis_pipeline.operations.control.measurements import measurements_of
from basis_pipeline.orchestration import figures
from basis_pipeline.orchestration.assets.config import MODE, RULES
from basis_pipeline.orchestration.assets.dataset import dataset_key
from basis_pipeline.orchestration.assets.market import INPUTS, PANEL, input_checks
from basis_pipeline.orchestration.checks import check_results, check_spec
from basis_pipeline.orchestration.control import enforce_limits
from basis_pipeline.orchestration.failures import as_failure
from basis_pipeline.orchestration.io_managers import ParquetIOManager
from basis_pipeline.orchestration.partitions import mode_of
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.orchestration.tables import plain_schema
from basis_pipeline.orchestration.upstream_gate import require_passing
from basis_pipeline.results.store import RunResult
from basis_pipeline.results.tables import COMPONENTS, explained
from basis_pipeline.runs.backtest import Benchmarks, capital_of, run_backtest
from basis_pipeline.runs.benchmarks import benchmark_names, benchmark_table
from basis_pipeline.runs.checks import BLOCKING, CHECKS, PHASE, backtest_checks

SIMULATION = dg.AssetKey(["backtest", "simulation"])
_COLUMNS = {
    "equity": ("timestamp", "equity", "flow", "drawdown"),
    "attribution": ("timestamp", *COMPONENTS, "residual"),
}


def _schema(name: str) -> dg.TableSchema:
    """Columns of a result table with unit and meaning."""
    told = {"currency": "share class's currency", "asset": "units of the asset"}
    found = explained(name, _COLUMNS[name], **told).items()
    return plain_schema(
        {
            column: ("timestamp" if column == "timestamp" else "float64", f"{meaning} [{unit}]")
            for column, (unit, meaning) in found
        }
    )


_SCHEMAS = {"attribution_columns": dg.MetadataValue.table_schema(_schema("attribution"))}


def run_asset(partitions: dg.StaticPartitionsDefinition) -> dg.AssetsDefinition:
    """One backtest a mode."""

    @dg.asset(
        key=SIMULATION,
        ins={"mode_slice": dg.AssetIn(MODE), "panel": dg.AssetIn(PANEL)},
        partitions_def=partitions,
        check_specs=[
            check_spec(
                SIMULATION, name, severity, asks, PHASE, partitions, blocking=name in BLOCKING
            )
            for name, (severity, asks, _) in CHECKS.items()
        ],
        group_name="backtest",
        kinds={"numba", "parquet"},
        owners=["team:strategy"],
        code_version=ENGINE_VERSION,
        metadata={"dagster/column_schema": _schema("equity"), **_SCHEMAS},
        io_manager_key="warehouse",
        description=(
            "One mode simulated hour by hour over its panel: equity, attribution, positions, risk "
            "and an event ledger. It is held to its closed form, must explain every change of "
            "equity to 1e-9, must come out the same again, and must keep the mode's limits.\n\n"
            "**Units:** amounts in the share class's currency, figures as shares (0.05 is 5 %) "
            "unless they count; drawdown as a positive share.\n\n"
            "**Source:** the panel and the slice of the mode, nothing else; the run's identity is "
            "the hash of both with window, capital and engine.\n\n"
            "**What is at stake:** every figure of every page. Watch max_abs_residual over time: "
            "above 1e-9 money appeared or vanished, and the run is not recorded."
        ),
    )
    def simulation(
        context: dg.AssetExecutionContext,
        mode_slice: ModeSlice,
        panel: Panel,
        options: RunOptions,
        warehouse: dg.ResourceParam[ParquetIOManager],
    ) -> Iterator[dg.MaterializeResult[RunResult]]:
        """Hold what is read against the gate, simulate, hold the figures against the limits."""
        mode = mode_of(context)
        try:
            require_work(options.settings, f"backtest/simulation[{mode}]")
            _require_sound_inputs(context, mode_slice, options)
            capital = capital_of(mode_slice, options.capital)
            beside = _benchmarks(mode_slice, options, warehouse)
            began = time.perf_counter()
            result = run_backtest(mode_slice, panel, options.window, capital, beside)
            seconds = time.perf_counter() - began
            if not options.overrides:  # a what-if is nobody's book
                enforce_limits(context.instance, options.settings, measurements_of(result))
        except BasisError as error:
            raise as_failure(error) from error
        found = backtest_checks(result, mode_slice, panel)
        yield dg.MaterializeResult(
            value=result,
            data_version=dg.DataVersion(result.run_id),
            metadata={**_facts(result), "simulation_seconds": seconds},
            check_results=check_results(SIMULATION, found, context.selected_asset_check_keys),
        )

    return simulation


def _benchmarks(
    mode_slice: ModeSlice, options: RunOptions, warehouse: ParquetIOManager
) -> Benchmarks:
    """Benchmarks from what the warehouse holds for this window; a run depends on none of them."""
    names = benchmark_names(mode_slice, options.configs)
    found = {name: warehouse.find(dataset_key(name)) for name in names.values()}
    held = {n: d for n, d in found.items() if d is not None and d.window == options.window}
    return benchmark_table(names, held, options.window)


def _require_sound_inputs(
    context: dg.AssetExecutionContext, mode_slice: ModeSlice, options: RunOptions
) -> None:
    mode, run_id, origin = mode_slice.name, context.run.run_id, options.origin
    asset, of_data = f"backtest/simulation[{mode}]", input_checks(mode_slice)
    require_passing(context.instance, of_data, asset, run_id=run_id, origin=origin)
    own = [dg.AssetCheckKey(MODE, RULES), dg.AssetCheckKey(PANEL, INPUTS)]
    require_passing(context.instance, own, asset, run_id=run_id, origin=origin, partition=mode)


def _facts(result: RunResult) -> dict[str, Any]:
    from basis_pipeline.reports.static_figures import equity_png  # matplotlib is slow to import

    equity = result.frames["equity"]
    return {
        "equity": figures.image(equity_png(result), "equity"),
        **figures.headlines(result),
        "run_id": result.run_id,
        "dagster/row_count": len(equity),
        "attribution": figures.attribution_table(result),
        "months": figures.months_table(result),
        "events": figures.events_table(result),
    }
