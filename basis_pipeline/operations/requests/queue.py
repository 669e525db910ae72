"""The queue of backtest requests in the results database: first come, first served.

A request is accepted once, by its id: its number is taken under the queue's lock, so that the order
is that of acceptance, whoever asks. A row says for good what became of it.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    and_,
    func,
    insert,
    inspect,
    select,
    update,
)

from basis_pipeline.config import Configs, load_configs
from basis_pipeline.config.loading import canonical_json
from basis_pipeline.errors import BacktestError
from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.operations.control import require_work
from basis_pipeline.operations.requests.model import BacktestRequest, Served, Status
from basis_pipeline.results.database.connection import connect, reading, sqlite_file, writing
from basis_pipeline.results.database.migration import migrate
from basis_pipeline.results.database.requests import BACKTEST_REQUESTS as REQUESTS
from basis_pipeline.settings import Settings, project_root

COMPONENT = "requests"
ATTEMPTS = 3
FINAL = (Status.DONE, Status.REFUSED, Status.FAILED)


def submit(settings: Settings, request: BacktestRequest, configs: Configs | None = None) -> Served:
    """Accept a request, or find it: durable when this returns.

    Parameters
    ----------
    configs: the project's own when not given.

    Raises
    ------
    ConfigError: the request asks for what the configuration does not allow.
    BacktestError: BT-005 while work is halted, BT-006 when another request has its id.
    ResultsError: the results database cannot be used.
    """
    require_work(settings, f"request {request.request_id}")
    request.sliced(configs or load_configs(project_root() / "configs"))
    engine = connect(settings.results_db_url)
    migrate(engine)
    content = canonical_json(request)
    with writing(engine, exclusive=REQUESTS.name) as connection:
        if row := _row(connection, request.request_id):
            if row.content != content:
                raise BacktestError(
                    "BT-006",
                    f"{request.request_id} is the id of another request, number {row.sequence}",
                    where=f"request {request.request_id}",
                    available=row.content,
                )
            return _served(row)
        last = connection.scalar(select(func.max(REQUESTS.c.sequence))) or 0
        connection.execute(
            insert(REQUESTS).values(
                sequence=last + 1,
                request_id=request.request_id,
                content=content,
                mode=request.mode,
                status=Status.QUEUED,
                submitted_at=datetime.now(UTC),
                attempts=0,
                pipeline_run="",
                run_id="",
                code="",
                message="",
                verdicts="{}",
            )
        )
        row = _row(connection, request.request_id)
        assert row is not None  # just written, in this transaction
    told = {"request_id": request.request_id, "sequence": row.sequence, "mode": request.mode}
    emit(settings, EventType.REQUEST_ACCEPTED, COMPONENT, **told)
    return _served(row)


def requests_of(settings: Settings, statuses: Iterable[Status] = Status) -> list[Served]:
    """The requests of these statuses, in order. Makes nothing. Raises ResultsError."""
    engine = _existing(settings)
    if engine is None:
        return []
    wanted = REQUESTS.c.status.in_(list(statuses))
    with reading(engine) as connection:
        rows = connection.execute(select(REQUESTS).where(wanted).order_by(REQUESTS.c.sequence))
        return [_served(row) for row in rows]


def waiting(settings: Settings, limit: int) -> list[int]:
    """Numbers of the next requests to be served, in order, so many at most.

    One that a run began and did not end is among them: whoever is killed serves nobody.
    """
    open_ones = requests_of(settings, (Status.QUEUED, Status.RUNNING))
    return [served.sequence for served in open_ones[:limit]]


def find(settings: Settings, sequences: Sequence[int]) -> list[Served]:
    """The requests of these numbers, in order."""
    wanted = set(sequences)
    return [served for served in requests_of(settings) if served.sequence in wanted]


def begin(settings: Settings, sequence: int, pipeline_run: str) -> bool:
    """Mark a request as being served; False when nobody is to serve it.

    So it is when that has been done, or when each of `ATTEMPTS` runs died of it: it has failed.
    """
    spent = REQUESTS.c.attempts >= ATTEMPTS
    told = f"{ATTEMPTS} runs that served it ended before it did"
    values = {"status": Status.FAILED, "finished_at": datetime.now(UTC), "message": told}
    if _write(settings, sequence, spent, **values):
        return False
    count = REQUESTS.c.attempts + 1
    values = {"status": Status.RUNNING, "pipeline_run": pipeline_run, "attempts": count}
    return _write(settings, sequence, **values)


def finish(settings: Settings, sequence: int, status: Status, **known: Any) -> bool:
    """Say what became of a request, once; False when that has been said before."""
    finished_at = datetime.now(UTC)
    return _write(settings, sequence, status=status, finished_at=finished_at, **known)


def _write(
    settings: Settings, sequence: int, *conditions: ColumnElement[bool], **values: Any
) -> bool:
    """Change a request that has not been served for good; whether there was such a one."""
    open_one = and_(REQUESTS.c.sequence == sequence, REQUESTS.c.status.not_in(FINAL), *conditions)
    with writing(connect(settings.results_db_url), exclusive=REQUESTS.name) as connection:
        done = connection.execute(update(REQUESTS).where(open_one).values(**values))
        return done.rowcount == 1


def _existing(settings: Settings) -> Engine | None:
    file = sqlite_file(settings.results_db_url)
    if file is not None and not file.exists():
        return None
    engine = connect(settings.results_db_url)
    with reading(engine) as connection:
        return engine if inspect(connection).has_table(REQUESTS.name) else None


def _row(connection: Connection, request_id: str) -> Row[Any] | None:
    return connection.execute(select(REQUESTS).where(REQUESTS.c.request_id == request_id)).first()


def _served(row: Row[Any]) -> Served:
    return Served(
        row.sequence,
        BacktestRequest.model_validate_json(row.content),
        Status(row.status),
        row.submitted_at,
        row.finished_at,
        row.pipeline_run,
        row.run_id,
        row.code,
        row.message,
        json.loads(row.verdicts),
    )
