"""`report/tear_sheet[mode]` and `report/comparison`: self-contained pages."""

from collections.abc import Iterable, Sequence

import dagster as dg
import pandas as pd

from basis_pipeline.backtests.ingest import inputs_of
from basis_pipeline.errors import ResultsError
from basis_pipeline.operations.control import require_not_shut_down
from basis_pipeline.operations.waivers import read_waivers, waived
from basis_pipeline.orchestration.assets.backtest import SIMULATION
from basis_pipeline.orchestration.assets.results import RECORD
from basis_pipeline.orchestration.failures import RETRIES, coded_failures
from basis_pipeline.orchestration.metadata import headlines, table, version_of
from basis_pipeline.orchestration.partitions import mode_of
from basis_pipeline.orchestration.records import gates_of, input_gates
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.reports.comparison import Entry, comparison_html
from basis_pipeline.reports.page import Provenance, write_page
from basis_pipeline.reports.tear_sheet import write_tear_sheet
from basis_pipeline.results.store import RunResult, read_run
from basis_pipeline.verdict import Status, Verdict, worst

TEAR_SHEET = dg.AssetKey(["report", "tear_sheet"])
COMPARISON = dg.AssetKey(["report", "comparison"])
CODE_VERSION = "2"
OWNERS = ["team:strategy"]


def report_assets(
    partitions: dg.StaticPartitionsDefinition,
    mode_checks: Sequence[dg.AssetCheckSpec],
    data_checks: Sequence[dg.AssetCheckSpec],
) -> list[dg.AssetsDefinition]:
    """Return the tear sheets and the comparison.

    mode_checks: checks of every asset of a mode, whose verdicts both show.
    data_checks: checks of the datasets; a tear sheet names the warnings on what its run read.
    """
    sheet = _tear_sheet(partitions, mode_checks, data_checks)
    return [sheet, _comparison(partitions, mode_checks)]


def _tear_sheet(
    partitions: dg.StaticPartitionsDefinition,
    mode_checks: Sequence[dg.AssetCheckSpec],
    data_checks: Sequence[dg.AssetCheckSpec],
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
            "One page on one mode: figures beside their benchmarks, equity, attribution, cost, "
            "risk with its limits, events, gates and the origin of the run. It needs no other "
            "file.\n\n"
            "**Units:** stated beside every figure; amounts in the share class's currency. "
            "**Source:** the recorded run and the latest verdicts of its gates. **What is at "
            "stake:** people decide by this page. It computes nothing: if it differs from the "
            "run's `summary.json`, the page is wrong."
        ),
    )
    def tear_sheet(
        context: dg.AssetExecutionContext, result: RunResult, options: RunOptions
    ) -> dg.MaterializeResult[None]:
        """Write the page."""
        mode = mode_of(context)
        verdicts = gates_of(context.instance, mode_checks, mode)
        provenance = Provenance.now(context.run.run_id, options.settings.environment)
        with coded_failures():
            require_not_shut_down(options.settings, f"report/tear_sheet[{mode}]")
            page, run = options.reports / f"{mode}.html", options.runs / result.run_id
            read = inputs_of(options.configs, options.slice(mode))
            inputs = input_gates(context.instance, data_checks, read)
            shown = waived([*_shown(verdicts), *inputs], read_waivers(options.settings))
            write_tear_sheet(page, run, provenance, shown)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(result.run_id),
            metadata={
                "page": dg.MetadataValue.path(page),
                "gates": worst(verdicts).value,
                **headlines(result),
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
            "One page on all modes: the latest recorded run of each over the same window, side by "
            "side and ranked, with failed gates and a link to each tear sheet.\n\n"
            "**Units:** shares and ratios, which are comparable between currencies. **Source:** "
            "recorded runs; a mode without one over this window is left out, and named in the "
            "metadata. **What is at stake:** which mode gets the capital. A ranking of runs over "
            "different windows would be a matter of luck."
        ),
    )
    def comparison(
        context: dg.AssetExecutionContext, options: RunOptions
    ) -> dg.MaterializeResult[None]:
        """Write the page."""
        with coded_failures():
            require_not_shut_down(options.settings, "report/comparison")
            results = _comparable(context.instance, options, modes)
            accepted = read_waivers(options.settings)
            gates = {
                r.mode: waived(gates_of(context.instance, mode_checks, r.mode), accepted)
                for r in results
            }
            entries = [Entry(r, _shown(gates[r.mode]), f"{r.mode}.html") for r in results]
            provenance = Provenance.now(context.run.run_id, options.settings.environment)
            html = comparison_html(entries, provenance)
            page = write_page(options.reports / "comparison.html", html)
        rows = [
            {"mode": r.mode, "gates": worst(gates[r.mode]).value, **headlines(r)} for r in results
        ]
        return dg.MaterializeResult(
            data_version=version_of(result.run_id for result in results),
            metadata={
                "page": dg.MetadataValue.path(page),
                "modes": table(pd.DataFrame(rows)),
                "left_out": ", ".join(mode for mode in modes if mode not in gates) or "none",
            },
        )

    return comparison


def _comparable(
    instance: dg.DagsterInstance, options: RunOptions, modes: Sequence[str]
) -> list[RunResult]:
    """Return the latest recorded run of every mode, if it is over the window of this run.

    Only runs of the asset graph count; backtest requests and the research path do not.
    """
    window, found = options.window, []
    for mode in modes:
        recorded = dg.AssetRecordsFilter(asset_key=RECORD, asset_partitions=[mode])
        latest = instance.fetch_materializations(recorded, limit=1).records
        recording = latest[0].asset_materialization if latest else None
        if recording is None:
            continue
        run = options.runs / str(recording.metadata["run_id"].value)
        # Upkeep removes the oldest runs of a mode; the requested ones may be the newer ones.
        if not run.exists():
            continue
        result = read_run(run)
        if (result.identity.start, result.identity.end) == (window.start, window.end):
            found.append(result)
    if not found:
        raise ResultsError("RS-002", f"no mode has a recorded run over {window}")
    return found


def _shown(gates: Iterable[Verdict]) -> list[Verdict]:
    """Return the gates that a page shows: those that were evaluated or blocked."""
    return [gate for gate in gates if gate.status is not Status.NOT_RUN]
