"""Serving requests: one backtest each, recorded in the store, or the reason why there is none.

A request is served from the raw files: it neither reads nor changes the assets of the nightly runs,
and its overrides apply to it alone.
"""

from collections.abc import Sequence

from basis_pipeline.backtests.judged import judged_backtest
from basis_pipeline.config import Configs
from basis_pipeline.errors import BasisError
from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.operations.control import require_not_halted
from basis_pipeline.operations.requests.model import Served, Status
from basis_pipeline.operations.requests.queue import COMPONENT, begin, find, finish
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.settings import Settings


def serve(
    settings: Settings, configs: Configs, sequences: Sequence[int], pipeline_run: str = ""
) -> list[Served]:
    """Serve requests in the order of their numbers; return them with their outcome.

    A rejected request stops no other. A finished one is skipped, so that a run that takes over from
    a killed one does only the rest.

    Parameters
    ----------
    settings: of the run that serves: its raw files and results directory.

    Raises
    ------
    BacktestError: BT-005 when work is halted; the remaining requests wait.
    ResultsError: the results database cannot be used.
    """
    for sequence in sorted(sequences):
        require_not_halted(settings, f"backtest request {sequence}")
        if begin(settings, sequence, pipeline_run):
            (served,) = find(settings, [sequence])
            _serve(settings, configs, served)
    return find(settings, sequences)


def _serve(settings: Settings, configs: Configs, served: Served) -> None:
    request = served.request
    try:
        judged = judged_backtest(
            configs,
            request.mode,
            settings.data_dir,
            request.window(settings),
            capital=request.capital,
            overrides=request.overrides,
            run_id=served.pipeline_run,
        )
        archive = Archive(settings.results_dir, settings.results_db_url)
        archive.keep(judged.result, judged.verdicts, judged.origin)
        status, known = Status.DONE, {"run_id": judged.result.run_id}
    except BasisError as error:
        status, known = Status.REJECTED, {"code": error.code, "message": str(error)}
    except Exception as error:  # noqa: BLE001 - one request must not stop the next
        status, known = Status.FAILED, {"message": f"{type(error).__name__}: {error}"}
    finish(settings, served.sequence, status, **known)
    event = {"request_id": request.request_id, "sequence": served.sequence, "status": status}
    event |= {"record": known.pop("run_id", ""), **known, "data_dir": str(settings.data_dir)}
    event["correlation_id"] = served.correlation_id
    level = "INFO" if status is Status.DONE else "ERROR"
    emit(settings, EventType.REQUEST_SERVED, COMPONENT, mode=request.mode, level=level, **event)
