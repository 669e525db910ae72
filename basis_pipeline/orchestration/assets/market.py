"""`market/panel[mode]`: only the arrays that one mode needs."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd

from basis_pipeline.backtests.ingest import parameter_files
from basis_pipeline.config import Configs, ModeSlice
from basis_pipeline.errors import BasisError
from basis_pipeline.market.panel import ARRAYS, Panel, axes, build_panel
from basis_pipeline.market.quality import check_names
from basis_pipeline.market.risk_parameters import RISK_NOT_UNDERSTATED
from basis_pipeline.orchestration.assets.config import MODE
from basis_pipeline.orchestration.assets.dataset import dataset_key
from basis_pipeline.orchestration.checks import check_result, check_spec
from basis_pipeline.orchestration.failures import as_failure
from basis_pipeline.orchestration.io_managers import ParquetIOManager
from basis_pipeline.orchestration.metadata import plain_schema, table, version_of
from basis_pipeline.orchestration.partitions import mode_of
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.orchestration.upstream_gate import require_passing
from basis_pipeline.verdict import Value, judge

PANEL = dg.AssetKey(["market", "panel"])
INPUTS = "inputs"
PHASE = 2
CODE_VERSION = "1"


def panel_asset(configs: Configs, partitions: dg.StaticPartitionsDefinition) -> dg.AssetsDefinition:
    """Return the panel asset, partitioned by mode, built from the datasets of the mode's slice."""
    asks = "every dataset the mode reads exists and passes its checks, and the panel is complete"

    @dg.asset(
        key=PANEL,
        ins={"mode_slice": dg.AssetIn(MODE)},
        deps=[dataset_key(name) for name in configs.datasets],
        partitions_def=partitions,
        check_specs=[check_spec(PANEL, INPUTS, "ERROR", asks, PHASE, partitions, blocking=True)],
        group_name="market",
        kinds={"numpy", "parquet"},
        owners=["team:market-data"],
        code_version=CODE_VERSION,
        io_manager_key="warehouse",
        description=(
            "The market data of one mode: float64 arrays, one row per hour of the window, of "
            "exactly what the slice needs, with the mask of repaired hours. An array that the mode "
            "does not need is 1.0 where it multiplies and 0.0 where it adds. The panel is blocked "
            "while a check of one of its datasets fails, whichever run found it.\n\n"
            "**Units:** prices in the share class's currency or that of the quote, rates as "
            "shares, indices as ratios. **Source:** the datasets of the slice. **What is at "
            "stake:** the engine reads nothing else; a value at the wrong hour is look-ahead bias."
        ),
        metadata={"dagster/column_schema": plain_schema(_columns())},
    )
    def panel(
        context: dg.AssetExecutionContext,
        mode_slice: ModeSlice,
        options: RunOptions,
        warehouse: dg.ResourceParam[ParquetIOManager],
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Panel]]:
        """Require passing inputs, then build the panel."""
        asset = f"market/panel[{mode_of(context)}]"
        try:
            require_passing(
                context.instance,
                input_checks(options.configs, mode_slice),
                asset,
                run_id=context.run.run_id,
                origin=options.origin,
            )
            datasets = {n: warehouse.load(dataset_key(n)) for n in mode_slice.datasets}
            built = build_panel(mode_slice, datasets, options.window)
        except BasisError as error:
            yield _inputs(False, f"{error.code}: {error.what}", {"where": error.where}, error.fault)
            raise as_failure(error) from error
        yield dg.MaterializeResult(
            value=built,
            data_version=_version(mode_slice, built),
            metadata=_facts(built, options),
            check_results=[_inputs(True, f"{len(datasets)} datasets", {})],
        )

    return panel


def input_checks(configs: Configs, mode_slice: ModeSlice) -> list[dg.AssetCheckKey]:
    """List the blocking checks of the datasets a slice reads and of its venues' parameters."""
    parameters = parameter_files(configs, mode_slice)
    return [
        *(dg.AssetCheckKey(dataset_key(name), RISK_NOT_UNDERSTATED) for name in parameters),
        *(
            dg.AssetCheckKey(dataset_key(name), check)
            for name, config in mode_slice.datasets.items()
            for check, (severity, _) in check_names(config).items()
            if severity == "ERROR"
        ),
    ]


def _inputs(
    passed: bool, message: str, evidence: dict[str, Value], cause: str = ""
) -> dg.AssetCheckResult:
    verdict = judge(INPUTS, "ERROR", passed, message, evidence=evidence, cause=cause, phase=PHASE)
    return check_result(PANEL, verdict)


def _columns() -> dict[str, tuple[str, str]]:
    """Return the columns of a panel's file; … is a venue, a reward token, or leg and bucket."""
    suffixes = {name: "".join(".…" for _ in axes(name, (), ())) for name in ARRAYS}
    return {
        "timestamp": ("timestamp[ns, UTC]", "every hour of the window, both ends included"),
        **{name + suffixes[name]: ("float64", meaning) for name, meaning in ARRAYS.items()},
        "repaired": ("bool", "any input of the hour was repaired"),
        "repairs.…": ("bool", "the input of that dataset was repaired"),
    }


def _version(mode_slice: ModeSlice, panel: Panel) -> dg.DataVersion:
    hashes = [f"{name}={digest}" for name, digest in sorted(panel.data_hashes.items())]
    span = [str(panel.timestamps[0]), str(panel.timestamps[-1])]
    return version_of([mode_slice.config_hash, *span, *hashes])


def _facts(panel: Panel, options: RunOptions) -> dict[str, Any]:
    repaired = {name: int(mask.sum()) for name, mask in panel.repairs.items()}
    rows = [(name, panel.data_hashes[name], hours) for name, hours in sorted(repaired.items())]
    inputs = pd.DataFrame(rows, columns=["dataset", "content_hash", "repaired_hours"])
    return {
        "dagster/row_count": len(panel.timestamps),
        "window": str(options.window),
        "venues": ", ".join(panel.venues) or "unhedged",
        "reward_tokens": ", ".join(panel.reward_tokens) or "none",
        "repaired_hours": int(panel.repaired.sum()),
        "repaired_share": float(panel.repaired.mean()),
        "inputs": table(inputs, limit=50),
    }
