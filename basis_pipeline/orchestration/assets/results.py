"""`results/record[mode]`: a sound run, stored under its identity."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from basis_pipeline.backtests.ingest import inputs_of
from basis_pipeline.errors import ResultsError
from basis_pipeline.orchestration.assets.backtest import SIMULATION
from basis_pipeline.orchestration.checks import check_results, check_spec
from basis_pipeline.orchestration.failures import RETRIES, coded_failures
from basis_pipeline.orchestration.metadata import headlines
from basis_pipeline.orchestration.partitions import mode_of
from basis_pipeline.orchestration.records import gates_of, input_gates
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.database.runs import run, verify
from basis_pipeline.results.origin import Origin
from basis_pipeline.results.store import RunResult, verify_run
from basis_pipeline.verdict import Verdict, judge

RECORD = dg.AssetKey(["results", "record"])
INTEGRITY = "integrity"
PHASE = 3
CODE_VERSION = "2"


def record_asset(
    partitions: dg.StaticPartitionsDefinition,
    upstream_checks: Sequence[dg.AssetCheckSpec],
    data_checks: Sequence[dg.AssetCheckSpec],
) -> dg.AssetsDefinition:
    """Return the record asset, partitioned by mode; recording a run again changes nothing.

    upstream_checks: checks of the mode's upstream assets, whose verdicts are stored with the run.
    data_checks: checks of the datasets; a run stores the verdicts on those it read.
    """
    asks = "every file of the recorded run matches its hash in the database"

    @dg.asset(
        key=RECORD,
        ins={"result": dg.AssetIn(SIMULATION)},
        partitions_def=partitions,
        check_specs=[check_spec(RECORD, INTEGRITY, "ERROR", asks, PHASE, partitions)],
        group_name="results",
        kinds={"parquet", "sql"},
        owners=["team:strategy"],
        code_version=CODE_VERSION,
        retry_policy=RETRIES,
        description=(
            "The run in the store: one directory named by the hash of its configuration, data, "
            "window, capital and engine, written as a whole or not at all, and its rows in the "
            "results database, with the verdicts of its gates. While the database is not reachable "
            "the directory waits to be recorded. A run that was rejected or does not reconcile is "
            "never recorded.\n\n"
            "**Units:** those of the run. **Source:** `backtest/simulation` of the same mode; "
            "recording the same run again changes nothing.\n\n"
            "**What is at stake:** pages, comparisons and notebooks read only recorded runs. A "
            "file that was edited no longer matches its hash, and is rejected."
        ),
    )
    def record(
        context: dg.AssetExecutionContext, result: RunResult, options: RunOptions
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Write the run, record it, and read it back against its hashes."""
        mode = mode_of(context)
        every = gates_of(context.instance, upstream_checks, mode)
        gates = [gate for gate in every if gate.evaluated]
        with coded_failures():
            inputs = inputs_of(options.configs, options.slice(mode))
            gates += input_gates(context.instance, data_checks, inputs)
            archive = Archive(options.settings.results_dir, options.settings.results_db_url)
            _start(archive, context.log)
            directory = archive.runs / result.run_id
            waits = archive.keep(result, gates, Origin.of(options.settings.data_dir))
            found = _integrity(archive, result.run_id, directory, waits, asks)
            own = found.at(asset=RECORD.to_user_string(), mode=result.mode)
            own = own.at(run_id=context.run.run_id, evaluated_at=datetime.now(UTC))
            archive.judge(result.run_id, [*gates, own])
        if waits:
            context.log.warning("the run waits in its directory: %s", waits)
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(result.run_id),
            metadata={
                "run_id": result.run_id,
                "database": f"waits to be recorded: {waits.code}" if waits else "recorded",
                "path": dg.MetadataValue.path(directory),
                "bytes": sum(file.stat().st_size for file in directory.iterdir()),
                **headlines(result),
            },
            check_results=check_results(RECORD, [found], context.selected_asset_check_keys),
        )

    return record


def _start(archive: Archive, log: dg.DagsterLogManager) -> None:
    """Finish recordings that other processes left; log problems, which stop no run."""
    try:
        problems = archive.start().problems
    except ResultsError as error:
        problems = [str(error)]
    for problem in problems:
        log.warning("results store: %s", problem)


def _integrity(
    archive: Archive, run_id: str, directory: Path, waits: ResultsError | None, asks: str
) -> Verdict:
    try:
        if waits:
            verify_run(directory)
        else:
            verify(run(archive.engine, run_id))
    except ResultsError as error:
        where = {"where": error.where}
        return judge(INTEGRITY, "ERROR", False, str(error), evidence=where, phase=PHASE)
    message = f"every file matches its hash; it waits to be recorded: {waits}" if waits else asks
    return judge(INTEGRITY, "ERROR", True, message, phase=PHASE)
