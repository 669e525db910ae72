"""The control state in the results database.

A change is the next row of `control_transitions`, written under a lock; its number is the primary
key, so that no change is made twice. Reading creates nothing: without a database, or without a row,
the state is NORMAL. A damaged database is an error: it is unknown whether work may continue.
While a server cannot be reached, the last known state applies (last_known.py).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime

from pydantic import ConfigDict, TypeAdapter
from sqlalchemy import Connection, Engine, delete, insert, select

from basis_pipeline.config.control import ControlLimits, Limit, load_control_limits
from basis_pipeline.errors import (
    BacktestError,
    CommandError,
    ResultsError,
    correlation_id,
)
from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.operations.control import last_known, limits
from basis_pipeline.operations.control.model import (
    POLICY,
    ControlState,
    Measurement,
    OpenBreach,
    State,
    Transition,
    describe,
)
from basis_pipeline.results.database.connection import place, reading, writing
from basis_pipeline.results.database.migration import existing, opened
from basis_pipeline.results.database.tables import CONTROL_BREACHES as BREACHES
from basis_pipeline.results.database.tables import CONTROL_TRANSITIONS as TRANSITIONS
from basis_pipeline.settings import Settings, config_directory

UNREACHABLE = "RS-008"
BREACHES_JSON = TypeAdapter(tuple[OpenBreach, ...], config=ConfigDict(ser_json_inf_nan="constants"))
EVENTS = {
    State.NORMAL: EventType.RESUMED,
    State.ALERT: EventType.ALERTED,
    State.HALT: EventType.HALTED,
    State.SHUTDOWN: EventType.SHUT_DOWN,
}


def read_state(settings: Settings) -> ControlState:
    """Return the present state; the last known one while the server cannot be reached.

    Raises
    ------
    ResultsError: the database cannot be read; then work must not continue.
    """
    known = last_known.load(settings)
    try:
        if (engine := existing(settings.results_db_url)) is None:
            return ControlState()
        with reading(engine) as connection:
            state = _state(connection, engine)
    except ResultsError as error:
        if error.code != UNREACHABLE or known is None:
            raise
        return known
    if known and known.is_pending and known.name.rank > state.name.rank:
        _escalate(settings, known.name, known.reason, known.by)
        return read_state(settings)
    last_known.confirm(settings, state)
    return state


def require_not_halted(settings: Settings, work: str, stopped_by: State = State.HALT) -> None:
    """Raise an error for work that is not allowed while work is halted: every backtest.

    Raises
    ------
    BacktestError: BT-005 with the reason. ResultsError: as `read_state`.
    """
    state = read_state(settings)
    if state.name.rank >= stopped_by.rank:
        raise BacktestError("BT-005", f"{work} is blocked: {state.description}")


def require_not_shut_down(settings: Settings, work: str) -> None:
    """Raise an error, as `require_not_halted`, for work that continues during a halt."""
    require_not_halted(settings, work, State.SHUTDOWN)


def transitions(settings: Settings, limit: int | None = None, after: int = 0) -> list[Transition]:
    """Return the changes of the state, the latest first. Raises ResultsError.

    Parameters
    ----------
    limit: number of the latest. after: only those with a greater version.
    """
    if (engine := existing(settings.results_db_url)) is None:
        return []
    version = TRANSITIONS.c.version
    latest = select(TRANSITIONS).where(version > after).order_by(version.desc()).limit(limit)
    with reading(engine) as connection:
        return [Transition(*row) for row in connection.execute(latest)]


def enforce_limits(
    settings: Settings,
    measurements: Iterable[Measurement],
    control_limits: ControlLimits | None = None,
) -> ControlState:
    """Compare measurements with the limits, and change the state accordingly.

    A measurement replaces the earlier one of the same limit, mode and subject; within its limit it
    ends the breach. A breach that was open when a person resumed has no effect until it is worse,
    or has ended and occurs again. An alert ends when no breach demands it; only a person ends a
    halt.

    Parameters
    ----------
    control_limits: those of the project's configuration when not given.

    Raises
    ------
    ConfigError: the limits cannot be used. ResultsError: the database cannot be read or written.
    """
    measured = list(measurements)
    control_limits = control_limits or load_control_limits(config_directory())
    now = datetime.now(UTC)
    breaches = limits.judge(measured, control_limits, now)
    keys = {measurement.key for measurement in measured}
    state = read_state(settings)
    if not breaches and not any(b.key in keys for b in state.breaches):
        return state
    if state.confirmed_at:  # the server is down: only a worse state can be stored
        if limits.demanded(breaches).rank > state.name.rank:
            _escalate(settings, limits.demanded(breaches), describe(breaches), POLICY)
        return read_state(settings)
    changed = None
    with _changing(settings) as (connection, state):
        after = limits.update(state.breaches, keys, breaches)
        _store_breaches(connection, after)
        demanding = [breach for breach in after if not breach.accepted]
        target = limits.demanded(demanding)
        is_over = state.name is State.ALERT and target is State.NORMAL
        if is_over or target.rank > state.name.rank:
            reason = "every breach is over" if is_over else describe(demanding)
            changed = _change(connection, state, target, POLICY, reason)
    for breach in after:
        if breach.since == now:
            fields = {**asdict(breach), "level": "WARNING", "demands": breach.level}
            emit(settings, EventType.LIMIT_BREACHED, "control", what=breach.description, **fields)
    _audit(settings, changed)
    return read_state(settings)


def halt(settings: Settings, *, reason: str, by: str) -> bool:
    """Stop backtests and requests; return False when they are stopped already.

    While the server cannot be reached the halt applies on this machine, and is stored later.

    Raises
    ------
    CommandError: API-001 without a reason or a name. ResultsError: the database cannot be used.
    """
    return _escalate(settings, State.HALT, reason, by)


def shutdown(settings: Settings, *, reason: str, by: str) -> bool:
    """Stop all but gates and health; return False when stopped already. Raises as `halt`."""
    return _escalate(settings, State.SHUTDOWN, reason, by)


def resume(settings: Settings, *, reason: str, by: str) -> bool:
    """Let work continue and accept every open breach; return False when nothing is stopped.

    Failed gates are counted from here on.

    Raises
    ------
    CommandError: API-001 without a reason or a name. ResultsError: the database cannot be used.
    """
    _require_words(reason, by)
    if read_state(settings).name is State.NORMAL:
        return False
    changed = None
    with _changing(settings) as (connection, state):
        if state.name is not State.NORMAL:
            changed = _change(connection, state, State.NORMAL, by, reason)
            left = [b for b in state.breaches if b.limit is not Limit.FAILED_GATES]
            _store_breaches(connection, [replace(breach, accepted=True) for breach in left])
    return _audit(settings, changed)


def _escalate(settings: Settings, target: State, reason: str, by: str) -> bool:
    _require_words(reason, by)
    changed = None
    try:
        with _changing(settings) as (connection, state):
            if target.rank > state.name.rank:
                changed = _change(connection, state, target, by, reason)
    except ResultsError as error:
        if error.code != UNREACHABLE:
            raise
        state = last_known.load(settings) or ControlState()
        if target.rank > state.name.rank:
            now = datetime.now(UTC)
            changed = replace(state, name=target, since=now, reason=reason, by=by, is_pending=True)
            last_known.store_pending(settings, changed)
    return _audit(settings, changed)


def _require_words(reason: str, by: str) -> None:
    missing = [name for name, text in (("a reason", reason), ("a name", by)) if not text.strip()]
    if missing:
        what = f"a change of emergency control needs {' and '.join(missing)}"
        raise CommandError("API-001", what, action="give the name of a person, and the reason")


@contextmanager
def _changing(settings: Settings) -> Iterator[tuple[Connection, ControlState]]:
    """Hold the lock of the state and yield the present state."""
    engine = opened(settings.results_db_url)
    with writing(engine, exclusive="control") as connection:
        yield connection, _state(connection, engine)


def _state(connection: Connection, engine: Engine) -> ControlState:
    stored = connection.scalar(select(BREACHES.c.content))
    breaches = BREACHES_JSON.validate_json(stored) if stored else ()
    latest = select(TRANSITIONS).order_by(TRANSITIONS.c.version.desc()).limit(1)
    last = connection.execute(latest).first()
    if last is None:
        return ControlState(breaches=breaches)
    if last.state not in list(State):
        what = f"{last.state!r} is not a state of emergency control"
        raise ResultsError("RS-005", what, where=place(engine))
    is_resume = (TRANSITIONS.c.state == State.NORMAL) & (TRANSITIONS.c.by != POLICY)
    resumed = connection.execute(latest.where(is_resume)).first()
    resumed_at = resumed.at if resumed else None
    name, since = State(last.state), last.at
    return ControlState(name, since, last.reason, last.by, last.version, resumed_at, breaches)


def _store_breaches(connection: Connection, breaches: Iterable[OpenBreach]) -> None:
    connection.execute(delete(BREACHES))
    content = BREACHES_JSON.dump_json(tuple(breaches)).decode()
    connection.execute(insert(BREACHES).values(content=content))


def _change(
    connection: Connection, state: ControlState, target: State, by: str, reason: str
) -> ControlState:
    """Add the next transition, never earlier than the one before."""
    now = datetime.now(UTC)
    at, version = max(now, state.since or now), state.version + 1
    change = Transition(version, at, target, state.name, by, reason, correlation_id())
    connection.execute(insert(TRANSITIONS).values(**asdict(change)))
    return ControlState(target, at, reason, by, version, state.resumed_at)


def _audit(settings: Settings, changed: ControlState | None) -> bool:
    """Record a committed change in the audit log; return whether there is one."""
    if changed is None:
        return False
    fields = {"version": changed.version, "state": changed.name, "by": changed.by}
    emit(settings, EVENTS[changed.name], "control", **fields, reason=changed.reason)
    if not changed.is_pending:
        last_known.confirm(settings, changed)
    return True
