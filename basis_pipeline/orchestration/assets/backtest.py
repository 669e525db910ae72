"""`backtest/simulation[mode]`: the engine's run over one panel, and the checks of its result."""

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
from basis_pipeline.operations.control import require_not_halted
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
    """Return the columns of the equity table with unit and meaning; the reference lists all."""
    units = {"currency": "share class's currency", "asset": "units of the asset"}
    return plain_schema(
        {
            column: ("timestamp" if column == "timestamp" else "float64", f"{meaning} [{unit}]")
            for column, (unit, meaning) in explained("equity", COLUMNS, **units).items()
        }
    )


def run_asset(partitions: dg.StaticPartitionsDefinition) -> dg.AssetsDefinition:
    """Return the backtest asset, partitioned by mode."""

    @dg.asset(
        key=SIMULATION,
        ins={"mode_slice": dg.AssetIn(MODE), "panel": dg.AssetIn(PANEL)},
        partitions_def=partitions,
        check_specs=[
            check_spec(
                SIMULATION, name, severity, text, PHASE, partitions, blocking=name in BLOCKING
            )
            for name, (severity, text, _) in CHECKS.items()
        ],
        group_name="backtest",
        kinds={"numba", "parquet"},
        owners=["team:strategy"],
        code_version=ENGINE_VERSION,
        metadata={"dagster/column_schema": _schema()},
        io_manager_key="warehouse",
        description=(
            "One mode simulated hour by hour over its panel: equity, attribution, positions, risk "
            "and events. The run must match its closed form, explain every change of equity to "
            "1e-9, be reproducible and keep the mode's limits.\n\n"
            "**Units:** amounts in the share class's currency, ratios as shares, counts as "
            "numbers. **Source:** only the panel and the slice of the mode; their hash with "
            "window, capital and engine version is the run's identity. **What is at stake:** every "
            "figure of every page. A max_abs_residual above 1e-9 means that money appeared or "
            "disappeared."
        ),
    )
    def simulation(
        context: dg.AssetExecutionContext,
        mode_slice: ModeSlice,
        panel: Panel,
        options: RunOptions,
        warehouse: dg.ResourceParam[ParquetIOManager],
    ) -> Iterator[dg.MaterializeResult[RunResult]]:
        """Require sound inputs, simulate, and hold the figures against the control limits."""
        mode = mode_of(context)
        try:
            require_not_halted(options.settings, f"backtest/simulation[{mode}]")
            _require_sound_inputs(context, mode_slice, options)
            capital = capital_of(mode_slice, options.capital)
            benchmarks = _benchmarks(mode_slice, options, warehouse)
            began = time.perf_counter()
            result = run_backtest(mode_slice, panel, options.window, capital, benchmarks)
            seconds = time.perf_counter() - began
            if not options.overrides:  # a what-if is no book of the desk
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
    """Return the benchmarks the warehouse has for this window; all of them are optional."""
    names = benchmark_names(mode_slice, options.configs)
    found = {name: warehouse.find(dataset_key(name)) for name in names.values()}
    usable = {n: d for n, d in found.items() if d is not None and d.window == options.window}
    return benchmark_table(names, usable, options.window)


def _require_sound_inputs(
    context: dg.AssetExecutionContext, mode_slice: ModeSlice, options: RunOptions
) -> None:
    mode, run_id, origin = mode_slice.name, context.run.run_id, options.origin
    asset, data_checks = f"backtest/simulation[{mode}]", input_checks(options.configs, mode_slice)
    require_passing(context.instance, data_checks, asset, run_id=run_id, origin=origin)
    checks = [dg.AssetCheckKey(MODE, RULES), dg.AssetCheckKey(PANEL, INPUTS)]
    require_passing(context.instance, checks, asset, run_id=run_id, origin=origin, partition=mode)


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
