"""`report/tear_sheet[mode]` and `report/comparison`: pages that need nothing beside themselves."""

from collections.abc import Iterable, Mapping, Sequence

import dagster as dg
import pandas as pd

from basis_pipeline.errors import ResultsError
from basis_pipeline.operations.control import require_open
from basis_pipeline.orchestration import figures
from basis_pipeline.orchestration.assets.backtest import SIMULATION
from basis_pipeline.orchestration.assets.results import RECORD
from basis_pipeline.orchestration.failures import RETRIES, coded_failures
from basis_pipeline.orchestration.partitions import mode_of
from basis_pipeline.orchestration.records import gates_of
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.orchestration.tables import table
from basis_pipeline.orchestration.versions import version_of
from basis_pipeline.reports.comparison import Entry, write_comparison
from basis_pipeline.reports.tear_sheet import write_tear_sheet
from basis_pipeline.results.store import RunResult, read_run
from basis_pipeline.verdict import Status, Verdict, worst

TEAR_SHEET = dg.AssetKey(["report", "tear_sheet"])
COMPARISON = dg.AssetKey(["report", "comparison"])
CODE_VERSION = "2"
OWNERS = ["team:strategy"]


def report_assets(
    partitions: dg.StaticPartitionsDefinition, mode_checks: Sequence[dg.AssetCheckSpec]
) -> list[dg.AssetsDefinition]:
    """The pages; they show the verdicts of `mode_checks`, the checks of every asset of a mode."""
    return [_tear_sheet(partitions, mode_checks), _comparison(partitions, mode_checks)]


def _tear_sheet(
    partitions: dg.StaticPartitionsDefinition, mode_checks: Sequence[dg.AssetCheckSpec]
) -> dg.AssetsDefinition:
    @dg.asset(
        key=TEAR_SHEET,
        ins={"result": dg.AssetIn(SIMULATION)},
        deps=[RECORD],
        partitions_def=partitions,
        group_name="report",
        kinds={"html"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        retry_policy=RETRIES,
        description=(
            "One page for one mode: figures beside their benchmarks, equity, attribution, carry "
            "and cost, risk with its limits, events, gate verdicts and what the run rests on. It "
            "opens from disk and needs nothing beside itself.\n\n"
            "**Units:** amounts in the share class's currency; every figure says its own. "
            "**Source:** the recorded run and the latest verdicts of its gates.\n\n"
            "**What is at stake:** what people decide by. The page computes no figure of its own: "
            "where it differs from the run's `summary.json`, the page is wrong."
        ),
    )
    def tear_sheet(
        context: dg.AssetExecutionContext, result: RunResult, options: RunOptions
    ) -> dg.MaterializeResult[None]:
        """Write the page."""
        from basis_pipeline.reports.static_figures import equity_png  # slow to import

        mode = mode_of(context)
        verdicts = gates_of(context.instance, mode_checks, mode)
        provenance = figures.provenance(context, options.settings.environment)
        with coded_failures():
            require_open(options.settings, f"report/tear_sheet[{mode}]")
            page, run = options.reports / f"{mode}.html", options.runs / result.run_id
            write_tear_sheet(page, run, provenance, shown(verdicts))
        return dg.MaterializeResult(
            data_version=dg.DataVersion(result.run_id),
            metadata={
                **figures.page(page),
                "equity": figures.image(equity_png(result), "equity"),
                "gates": worst(verdicts).value,
                **figures.headlines(result),
            },
        )

    return tear_sheet


def _comparison(
    partitions: dg.StaticPartitionsDefinition, mode_checks: Sequence[dg.AssetCheckSpec]
) -> dg.AssetsDefinition:
    modes = partitions.get_partition_keys()

    @dg.asset(
        key=COMPARISON,
        deps=[
            dg.AssetDep(key, partition_mapping=dg.AllPartitionMapping())
            for key in (RECORD, TEAR_SHEET)
        ],
        group_name="report",
        kinds={"html"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        retry_policy=RETRIES,
        description=(
            "One page over all modes: the latest recorded run of each over the same window, side "
            "by side and ranked, with failed gates, components and a link to each tear sheet.\n\n"
            "**Units:** shares and ratios, which modes of different currencies have in common. "
            "**Source:** the index of runs: a mode without a run over this window is left out, "
            "and named in the metadata.\n\n"
            "**What is at stake:** which mode gets the capital. Runs over different windows beside "
            "each other would rank luck; there are none on it."
        ),
    )
    def comparison(
        context: dg.AssetExecutionContext, options: RunOptions
    ) -> dg.MaterializeResult[None]:
        """Write the page."""
        with coded_failures():
            require_open(options.settings, "report/comparison")
            results = _comparable(context.instance, options, modes)
            names = [result.mode for result in results]
            gates = {mode: gates_of(context.instance, mode_checks, mode) for mode in names}
            entries = [
                Entry(result, shown(gates[result.mode]), f"{result.mode}.html")
                for result in results
            ]
            provenance = figures.provenance(context, options.settings.environment)
            page = write_comparison(options.reports / "comparison.html", entries, provenance)
        return dg.MaterializeResult(
            data_version=version_of(result.run_id for result in results),
            metadata={
                **figures.page(page),
                "modes": table(_rows(results, {mode: worst(own) for mode, own in gates.items()})),
                "left_out": ", ".join(mode for mode in modes if mode not in names) or "none",
            },
        )

    return comparison


def _comparable(
    instance: dg.DagsterInstance, options: RunOptions, modes: Sequence[str]
) -> list[RunResult]:
    """The latest recorded run of every mode, of those over the window asked for.

    Of the graph's own: a run that somebody asked for beside it is not the mode's.
    """
    window, found = options.window, []
    for mode in modes:
        recorded = dg.AssetRecordsFilter(asset_key=RECORD, asset_partitions=[mode])
        latest = instance.fetch_materializations(recorded, limit=1).records
        made = latest[0].asset_materialization if latest else None
        if made is None:
            continue
        result = read_run(options.runs / str(made.metadata["run_id"].value))
        if (result.identity.start, result.identity.end) == (window.start, window.end):
            found.append(result)
    if not found:
        raise ResultsError("RS-002", f"no mode has a recorded run over {window}")
    return found


def shown(gates: Iterable[Verdict]) -> list[Verdict]:
    """The gates that a page shows: those that were evaluated or blocked."""
    return [gate for gate in gates if gate.status is not Status.NOT_RUN]


def _rows(results: Sequence[RunResult], verdicts: Mapping[str, Status]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"mode": result.mode, "gates": verdicts[result.mode].value, **figures.headlines(result)}
            for result in results
        ]
    )
