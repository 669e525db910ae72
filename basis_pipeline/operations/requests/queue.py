"""The queue of backtest requests in the results database: first come, first served.

A request is accepted once, by its id. Its number is assigned under the queue's lock, so that the
order is that of acceptance for all callers. The row keeps the outcome of the request.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, select, update

from basis_pipeline.config import Configs, load_configs
from basis_pipeline.config.loading import canonical_json
from basis_pipeline.errors import BacktestError, correlation_id
from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.operations.control import require_not_halted
from basis_pipeline.operations.requests.model import BacktestRequest, Served, Status
from basis_pipeline.results.database.connection import reading, writing
from basis_pipeline.results.database.migration import existing, opened
from basis_pipeline.results.database.tables import BACKTEST_REQUESTS as REQUESTS
from basis_pipeline.settings import Settings, config_directory

COMPONENT = "requests"
ATTEMPTS = 3
OPEN = (Status.QUEUED, Status.RUNNING)


def submit(settings: Settings, request: BacktestRequest, configs: Configs | None = None) -> Served:
    """Accept a request, or find the accepted one; it is stored on return.

    Parameters
    ----------
    configs: the project's own when not given.

    Raises
    ------
    ConfigError: the configuration does not allow the request.
    BacktestError: BT-005 while work is halted, BT-006 when another request has its id.
    ResultsError: the results database cannot be used.
    """
    require_not_halted(settings, f"request {request.request_id}")
    request.sliced(configs or load_configs(config_directory()))
    request.window(settings)
    engine = opened(settings.results_db_url)
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
        values = dict.fromkeys(("pipeline_run", "run_id", "code", "message"), "")
        values |= {"request_id": request.request_id, "content": content, "mode": request.mode}
        values["correlation_id"] = correlation_id()
        times = {"submitted_at": datetime.now(UTC), "attempts": 0, "status": Status.QUEUED}
        connection.execute(insert(REQUESTS).values(sequence=last + 1, **values, **times))
        row = _row(connection, request.request_id)
        assert row is not None  # just written, in this transaction
    event = {"request_id": request.request_id, "sequence": row.sequence, "mode": request.mode}
    emit(settings, EventType.REQUEST_ACCEPTED, COMPONENT, **event)
    return _served(row)


def requests_of(settings: Settings, statuses: Iterable[Status] = Status) -> list[Served]:
    """Return the requests of these statuses, in order. Raises ResultsError."""
    return _select(settings, REQUESTS.c.status.in_(list(statuses)))


def page(
    settings: Settings,
    *,
    statuses: Collection[Status] = (),
    mode: str | None = None,
    since: datetime | None = None,
    before: int | None = None,
    limit: int,
) -> list[Served]:
    """Return the latest requests that match, the latest first. Raises ResultsError.

    Parameters
    ----------
    since: accepted then or later. before: only those with a smaller number.
    """
    conditions: list[ColumnElement[bool]] = []
    conditions += [REQUESTS.c.status.in_(statuses)] if statuses else []
    conditions += [REQUESTS.c.mode == mode] if mode else []
    conditions += [REQUESTS.c.submitted_at >= since] if since else []
    conditions += [REQUESTS.c.sequence < before] if before is not None else []
    return _select(settings, *conditions, limit=limit, order=REQUESTS.c.sequence.desc())


def counts(settings: Settings) -> dict[Status, int]:
    """Count the requests of each status. Raises ResultsError."""
    found = dict.fromkeys(Status, 0)
    if engine := existing(settings.results_db_url):
        query = select(REQUESTS.c.status, func.count()).group_by(REQUESTS.c.status)
        with reading(engine) as connection:
            found |= {Status(status): count for status, count in connection.execute(query)}
    return found


def ahead_of(settings: Settings, sequence: int) -> int:
    """Count the open requests before a number. Raises ResultsError."""
    engine = opened(settings.results_db_url)
    is_ahead = and_(REQUESTS.c.status.in_(OPEN), REQUESTS.c.sequence < sequence)
    with reading(engine) as connection:
        return connection.scalar(select(func.count()).where(is_ahead)) or 0


def request_named(settings: Settings, request_id: str) -> Served | None:
    """Return the request of an id. Raises ResultsError."""
    return next(iter(_select(settings, REQUESTS.c.request_id == request_id)), None)


def find(settings: Settings, sequences: Sequence[int]) -> list[Served]:
    """Return the requests of these numbers, in order. Raises ResultsError."""
    return _select(settings, REQUESTS.c.sequence.in_(sequences))


def waiting(settings: Settings, limit: int) -> list[int]:
    """Return the numbers of the next requests to serve, in order, `limit` at most.

    A request whose run was killed is among them.
    """
    return [r.sequence for r in _select(settings, REQUESTS.c.status.in_(OPEN), limit=limit)]


def cancel(settings: Settings, request_id: str) -> Served | None:
    """Cancel a queued request; return it with its status, None when there is none.

    A request that is running or finished is unchanged.

    Raises
    ------
    ResultsError: the results database cannot be used.
    """
    served = request_named(settings, request_id)
    if served is None:
        return None
    is_queued, now = REQUESTS.c.status == Status.QUEUED, datetime.now(UTC)
    sequence = served.sequence
    if _update(settings, sequence, is_queued, status=Status.CANCELED, finished_at=now):
        event = {"request_id": request_id, "sequence": served.sequence, "status": Status.CANCELED}
        emit(settings, EventType.REQUEST_SERVED, COMPONENT, mode=served.request.mode, **event)
    return request_named(settings, request_id)


def begin(settings: Settings, sequence: int, pipeline_run: str) -> bool:
    """Mark a request as running; return False when it must not be served.

    That is when it is finished or canceled, or when `ATTEMPTS` runs ended before it did: then it
    has failed.
    """
    attempts, message = REQUESTS.c.attempts, f"{ATTEMPTS} runs that served it ended before it did"
    failed = {"status": Status.FAILED, "finished_at": datetime.now(UTC), "message": message}
    running = {"status": Status.RUNNING, "pipeline_run": pipeline_run, "attempts": attempts + 1}
    if _update(settings, sequence, attempts >= ATTEMPTS, **failed):
        return False
    return _update(settings, sequence, **running)


def finish(settings: Settings, sequence: int, status: Status, **known: Any) -> bool:
    """Record the outcome of a request; return False when that was recorded before."""
    return _update(settings, sequence, status=status, finished_at=datetime.now(UTC), **known)


def _update(
    settings: Settings, sequence: int, *conditions: ColumnElement[bool], **values: Any
) -> bool:
    """Change an open request; return whether there was one."""
    chosen = and_(REQUESTS.c.sequence == sequence, REQUESTS.c.status.in_(OPEN), *conditions)
    with writing(opened(settings.results_db_url), exclusive=REQUESTS.name) as connection:
        return connection.execute(update(REQUESTS).where(chosen).values(**values)).rowcount == 1


def _select(
    settings: Settings,
    *conditions: ColumnElement[bool],
    limit: int | None = None,
    order: ColumnElement[Any] = REQUESTS.c.sequence,
) -> list[Served]:
    if (engine := existing(settings.results_db_url)) is None:
        return []
    query = select(REQUESTS).where(*conditions).order_by(order).limit(limit)
    with reading(engine) as connection:
        return [_served(row) for row in connection.execute(query)]


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
        row.correlation_id,
    )
