"""Serving requests: one backtest each, recorded in the store, or the reason why there is none.

A request is served by itself, from the raw files: it neither reads nor changes what the nightly
runs keep, and what it overrides stays its own.
"""

import json
from collections.abc import Sequence

from basis_pipeline.config import Configs
from basis_pipeline.errors import BasisError
from basis_pipeline.market.panel import build_panel
from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.operations.control import require_work
from basis_pipeline.operations.requests.model import BacktestRequest, Served, Status
from basis_pipeline.operations.requests.queue import COMPONENT, begin, find, finish
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.store import RunResult, write_run
from basis_pipeline.runs.backtest import (
    capital_of,
    load_datasets,
    require_reconciled,
    run_backtest,
)
from basis_pipeline.runs.benchmarks import benchmark_names, benchmark_table
from basis_pipeline.runs.checks import ASSET, backtest_checks
from basis_pipeline.settings import Settings
from basis_pipeline.verdict import Verdict


def serve(
    settings: Settings, configs: Configs, sequences: Sequence[int], pipeline_run: str = ""
) -> list[Served]:
    """Serve requests in the order of their numbers; what became of each.

    One that is refused stops no other. One that is served already is left as it is, so that a run
    that takes over from a killed one only does the rest.

    Raises
    ------
    BacktestError: BT-005 when work is halted; those not yet served go on waiting.
    ResultsError: the results database cannot be used.
    """
    for sequence in sorted(sequences):
        require_work(settings, f"backtest request {sequence}")
        if begin(settings, sequence, pipeline_run):
            _serve(settings, configs, sequence, pipeline_run)
    return find(settings, sequences)


def _serve(settings: Settings, configs: Configs, sequence: int, pipeline_run: str) -> None:
    (served,) = find(settings, [sequence])
    known = {"request_id": served.request.request_id, "sequence": sequence}
    try:
        result, judged = backtest_of(served.request, configs)
        archive = Archive(settings.results_dir, settings.results_db_url)
        archive.record(result, write_run(result, archive.runs / result.run_id))
        verdicts = [
            verdict.at(asset=ASSET, mode=result.mode, run_id=pipeline_run) for verdict in judged
        ]
        archive.record_verdicts(result.run_id, verdicts)
    except BasisError as error:
        told = {"code": error.code, "message": str(error)}
        finish(settings, sequence, Status.REFUSED, **told)
        _tell(settings, served, Status.REFUSED, known | told)
        return
    except Exception as error:  # noqa: BLE001 - one request must not stop those behind it
        told = {"message": f"{type(error).__name__}: {error}"}
        finish(settings, sequence, Status.FAILED, **told)
        _tell(settings, served, Status.FAILED, known | told)
        return
    words = {verdict.check: verdict.status.value for verdict in verdicts}
    finish(settings, sequence, Status.DONE, run_id=result.run_id, verdicts=json.dumps(words))
    _tell(settings, served, Status.DONE, {**known, "record": result.run_id, "verdicts": words})


def backtest_of(request: BacktestRequest, configs: Configs) -> tuple[RunResult, list[Verdict]]:
    """The backtest a request asks for, and the verdicts of its gates.

    Raises
    ------
    ConfigError, DataError, BacktestError, MathError: as `basis_pipeline.runs.backtest`.
    """
    mode_slice, window = request.sliced(configs), request.window()
    benchmarks = benchmark_names(mode_slice, configs)
    names = {*mode_slice.datasets, *benchmarks.values()}
    datasets = load_datasets(names, configs, request.settings().data_dir, window)
    panel = build_panel(mode_slice, datasets, window)
    beside = benchmark_table(benchmarks, datasets, window)
    capital = capital_of(mode_slice, request.capital)
    result = run_backtest(mode_slice, panel, window, capital, beside)
    require_reconciled(result)
    return result, backtest_checks(result, mode_slice, panel)


def _tell(settings: Settings, served: Served, status: Status, fields: dict[str, object]) -> None:
    level = "INFO" if status is Status.DONE else "ERROR"
    mode = served.request.mode
    event = {"mode": mode, "level": level, "status": status, **fields}
    emit(settings, EventType.REQUEST_SERVED, COMPONENT, **event)
