"""`backtest/simulation[mode]`: the engine over one panel, and the checks of what came out."""

import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd

from basis_pipeline.backtests.backtest import Benchmarks, capital_of, run_backtest
from basis_pipeline.backtests.benchmarks import benchmark_names, benchmark_table
from basis_pipeline.backtests.checks import BLOCKING, CHECKS, PHASE, backtest_checks
from basis_pipeline.config import ModeSlice
from basis_pipeline.engine import ENGINE_VERSION
from basis_pipeline.errors import BasisError
from basis_pipeline.market.panel import Panel
from basis_pipeline.operations.control import require_work
from basis_pipeline.operations.control.measurements import measurements_of
from basis_pipeline.orchestration.assets.config import MODE, RULES
from basis_pipeline.orchestration.assets.dataset import dataset_key
from basis_pipeline.orchestration.assets.market import INPUTS, PANEL, input_checks
from basis_pipeline.orchestration.checks import check_results, check_spec
from basis_pipeline.orchestration.control import enforce_limits
from basis_pipeline.orchestration.failures import as_failure
from basis_pipeline.orchestration.io_managers import ParquetIOManager
from basis_pipeline.orchestration.metadata import equity_plot, headlines, plain_schema, table
from basis_pipeline.orchestration.partitions import mode_of
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.orchestration.upstream_gate import require_passing
from basis_pipeline.results.store import RunResult
from basis_pipeline.results.tables import explained

SIMULATION = dg.AssetKey(["backtest", "simulation"])
COLUMNS = ("timestamp", "equity", "flow", "drawdown")


def _schema() -> dg.TableSchema:
    """Columns of the equity table with unit and meaning; the reference has all of them."""
    units = {"currency": "share class's currency", "asset": "units of the asset"}
    return plain_schema(
        {
            column: ("timestamp" if column == "timestamp" else "float64", f"{meaning} [{unit}]")
            for column, (unit, meaning) in explained("equity", COLUMNS, **units).items()
        }
    )


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
        metadata={"dagster/column_schema": _schema()},
        io_manager_key="warehouse",
        description=(
            "One mode simulated hour by hour over its panel: equity, attribution, positions, risk "
            "and events. It has to match its closed form, explain every change of equity to 1e-9, "
            "come out the same again and keep the mode's limits.\n\n"
            "**Units:** amounts in the share class's currency, figures as shares unless they "
            "count. **Source:** the panel and the slice of the mode, nothing else; their hash with "
            "window, capital and engine is the run's identity. **What is at stake:** every figure "
            "of every page. A max_abs_residual above 1e-9 means that money appeared or vanished."
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
            metadata={**_metadata(result), "simulation_seconds": seconds},
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
    asset, of_data = f"backtest/simulation[{mode}]", input_checks(options.configs, mode_slice)
    require_passing(context.instance, of_data, asset, run_id=run_id, origin=origin)
    own = [dg.AssetCheckKey(MODE, RULES), dg.AssetCheckKey(PANEL, INPUTS)]
    require_passing(context.instance, own, asset, run_id=run_id, origin=origin, partition=mode)


def _metadata(result: RunResult) -> dict[str, Any]:
    parts = result.summary["attribution"]
    attribution = pd.DataFrame({"component": list(parts), "amount": list(parts.values())})
    return {
        "equity": equity_plot(result),
        **headlines(result),
        "run_id": result.run_id,
        "dagster/row_count": len(result.frames["equity"]),
        "attribution": table(attribution),
        "months": table(pd.DataFrame(result.summary["months"]), limit=120),
        "events": table(result.frames["events"], limit=30),
    }
