"""`results/record[mode]`: a sound run kept for good, under its identity."""

from collections.abc import Iterator

import dagster as dg

from basis_pipeline.errors import ResultsError
from basis_pipeline.market.quality import QualityResult
from basis_pipeline.orchestration import figures
from basis_pipeline.orchestration.assets.backtest import RUN
from basis_pipeline.orchestration.checks import check_results, check_spec
from basis_pipeline.orchestration.failures import coded_failures
from basis_pipeline.orchestration.resources import RunRequest
from basis_pipeline.results.index import RunIndex
from basis_pipeline.results.store import RunResult, write_run

RECORD = dg.AssetKey(["results", "record"])
INTEGRITY = "integrity"
PHASE = 3
CODE_VERSION = "1"


def record_asset(partitions: dg.StaticPartitionsDefinition) -> dg.AssetsDefinition:
    """One record a mode; recording the same run again changes nothing."""
    asks = "every file of the recorded run matches its hash in the index"

    @dg.asset(
        key=RECORD,
        ins={"result": dg.AssetIn(RUN)},
        partitions_def=partitions,
        check_specs=[check_spec(RECORD, INTEGRITY, "ERROR", asks, PHASE, partitions)],
        group_name="results",
        kinds={"parquet", "sqlite"},
        owners=["team:strategy"],
        code_version=CODE_VERSION,
        description=(
            "The run in the store: one directory named by the hash of its configuration, data, "
            "window, capital and engine, written as a whole or not at all, and a row in the index "
            "of runs. A run that was refused or does not reconcile never gets here.\n\n"
            "**Units:** as the run's own. **Source:** `backtest/run` of the same mode; recording "
            "the same run again changes nothing.\n\n"
            "**What is at stake:** pages, comparisons and notebooks read recorded runs alone. A "
            "file that was changed by hand no longer matches its hash, and is refused."
        ),
    )
    def record(
        context: dg.AssetExecutionContext, result: RunResult, request: RunRequest
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Write the run, index it, and read it back against its hashes."""
        with coded_failures():
            index = RunIndex(request.settings.results_db_url)
            directory = write_run(result, request.runs / result.run_id)
            new = index.add(result, directory)
        found = _integrity(index, result.run_id, asks)
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(result.run_id),
            metadata={
                "run_id": result.run_id,
                "recorded": "now" if new else "before: the same run is kept once",
                "path": dg.MetadataValue.path(directory),
                "bytes": sum(file.stat().st_size for file in directory.iterdir()),
                **figures.headlines(result),
            },
            check_results=check_results(RECORD, [found], context.selected_asset_check_keys),
        )

    return record


def _integrity(index: RunIndex, run_id: str, asks: str) -> QualityResult:
    try:
        index.verify(run_id)
    except ResultsError as error:
        return QualityResult(INTEGRITY, False, "ERROR", str(error), {"where": error.where})
    return QualityResult(INTEGRITY, True, "ERROR", asks)
