"""The state in the results database: read by everybody, changed once, by one.

A change is the next row of `control_transitions`, made by who holds the lock of that name, and its
number is the primary key: of many who want to make the same change one does. Nothing is made by
reading: where there is no database, or none that control ever wrote to, the state is NORMAL. One
that cannot be read raises: nobody knows then whether work may go on, so it must not.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, insert, inspect, select, update

from basis_pipeline.config.control import ControlLimits, Limit, load_control_limits
from basis_pipeline.errors import (
    BacktestError,
    CommandError,
    ResultsError,
    correlation_id,
)
from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.operations.control import policy
from basis_pipeline.operations.control.model import (
    Breach,
    ControlState,
    Measured,
    Standing,
    State,
    Transition,
)
from basis_pipeline.results.database.connection import connect, place, reading, sqlite_file, writing
from basis_pipeline.results.database.control import CONTROL_BREACHES as BREACHES
from basis_pipeline.results.database.control import CONTROL_TRANSITIONS as TRANSITIONS
from basis_pipeline.results.database.migration import migrate, revision_of
from basis_pipeline.settings import Settings, project_root

POLICY = "the limits"  # who changed the state, when no person did
REVISION = "0002_control"  # that made the tables
COMPONENT = "control"
LOCK = "control"
EVENTS = {
    State.NORMAL: EventType.RESUMED,
    State.ALERT: EventType.ALERTED,
    State.HALT: EventType.HALTED,
    State.SHUTDOWN: EventType.SHUT_DOWN,
}
Key = tuple[str, str, str]


def read_state(settings: Settings) -> ControlState:
    """The state as it stands. Makes nothing.

    Raises
    ------
    ResultsError: the database is there and cannot be read; then work must not go on.
    """
    engine = _existing(settings)
    if engine is None:
        return ControlState()
    with reading(engine) as connection:
        return _state(connection, place(engine))


def require_work(settings: Settings, asking: str) -> None:
    """Refuse a backtest, or what requests one, while work is halted.

    Raises
    ------
    BacktestError: BT-005 with the reason. ResultsError: as `read_state`.
    """
    _require_below(State.HALT, settings, asking)


def require_open(settings: Settings, asking: str) -> None:
    """Refuse what still runs while work is halted, once it is shut down.

    Raises
    ------
    BacktestError: BT-005 with the reason. ResultsError: as `read_state`.
    """
    _require_below(State.SHUTDOWN, settings, asking)


def _require_below(level: State, settings: Settings, asking: str) -> None:
    state = read_state(settings)
    if state.name.rank >= level.rank:
        raise BacktestError("BT-005", f"{asking} does not run: {state.told}")


def transitions(settings: Settings, limit: int | None = None) -> list[Transition]:
    """The changes of the state, the latest first; all of them, or so many. Raises ResultsError."""
    engine = _existing(settings)
    if engine is None:
        return []
    with reading(engine) as connection:
        rows = connection.execute(
            select(TRANSITIONS).order_by(TRANSITIONS.c.version.desc()).limit(limit)
        )
        return [
            Transition(
                row.version,
                row.at,
                State(row.state),
                State(row.previous),
                row.by,
                row.reason,
                row.pipeline_run,
            )
            for row in rows
        ]


def standing(settings: Settings) -> list[Standing]:
    """The breaches that are still there, by limit, mode and subject. Raises ResultsError."""
    engine = _existing(settings)
    if engine is None:
        return []
    with reading(engine) as connection:
        found = _standing(connection)
    return [
        Standing(_breach(row), row.since, row.acknowledged_level is not None)
        for _, row in sorted(found.items())
    ]


def assess(
    settings: Settings, measured: Iterable[Measured], limits: ControlLimits | None = None
) -> ControlState:
    """Hold figures against the limits and make the state what they demand, where that is worse.

    What is measured replaces what was known of the same limit, mode and subject: a figure within
    its limit ends its breach. A breach that a person resumed in spite of demands nothing until it
    is worse, or over and there again.

    Parameters
    ----------
    limits: those of the project's configuration when not given.

    Raises
    ------
    ConfigError: the limits cannot be used. ResultsError: the database cannot be read or written.
    """
    figures = list(measured)
    judged_by = limits or load_control_limits(project_root() / "configs")
    breaches = _worst(policy.judge(figures, judged_by))
    asked = {figure.key for figure in figures}
    if not breaches:
        engine = _existing(settings)
        if engine is None:
            return ControlState()
        with reading(engine) as connection:
            if not asked & _standing(connection).keys():
                return _state(connection, place(engine))
    engine, now = _opened(settings), datetime.now(UTC)
    made = None
    with writing(engine, exclusive=LOCK) as connection:
        fresh, seen_first = _settle(connection, asked, breaches, now)
        state, demanded = _state(connection, place(engine)), policy.demanded(fresh)
        if demanded.rank > state.name.rank:
            made = _change(connection, state, demanded, POLICY, policy.told(fresh), fresh)
            state = _state(connection, place(engine))
    for breach in seen_first:
        _tell(settings, EventType.LIMIT_BREACHED, {"what": breach.told, **breach.as_json()})
    _audit(settings, made)
    return state


def halt(settings: Settings, *, reason: str, by: str) -> Transition | None:
    """Stop work: backtests are refused, nothing is requested; None when it is stopped already.

    Raises
    ------
    CommandError: API-001 without a reason or a name. ResultsError: the database cannot be used.
    """
    return _escalate(settings, State.HALT, reason, by)


def alert(settings: Settings, *, reason: str, by: str) -> Transition | None:
    """Ask a person to look; None when that, or worse, stands already. Raises as `halt`."""
    return _escalate(settings, State.ALERT, reason, by)


def shutdown(settings: Settings, *, reason: str, by: str) -> Transition | None:
    """Stop everything but gates and health; None when it is so already. Raises as `halt`."""
    return _escalate(settings, State.SHUTDOWN, reason, by)


def resume(settings: Settings, *, reason: str, by: str) -> Transition | None:
    """Let work go on in spite of the breaches that stand; None when nothing stops it.

    Failed gates are counted from here on; other breaches are accepted as they are.

    Raises
    ------
    CommandError: API-001 without a reason or a name. ResultsError: the database cannot be used.
    """
    _require_said(reason, by)
    if read_state(settings).name is State.NORMAL:
        return None
    engine = _opened(settings)
    made = None
    with writing(engine, exclusive=LOCK) as connection:
        state = _state(connection, place(engine))
        if state.name is not State.NORMAL:
            made = _change(connection, state, State.NORMAL, by, reason)
            connection.execute(delete(BREACHES).where(BREACHES.c.limit_name == Limit.FAILED_GATES))
            accepted = {"acknowledged_level": BREACHES.c.level}
            connection.execute(
                update(BREACHES).values(**accepted, acknowledged_value=BREACHES.c.value)
            )
    _audit(settings, made)
    return made


def _escalate(settings: Settings, target: State, reason: str, by: str) -> Transition | None:
    _require_said(reason, by)
    engine = _opened(settings)
    made = None
    with writing(engine, exclusive=LOCK) as connection:
        state = _state(connection, place(engine))
        if state.name.rank < target.rank:
            made = _change(connection, state, target, by, reason)
    _audit(settings, made)
    return made


def _require_said(reason: str, by: str) -> None:
    missing = [name for name, text in (("reason", reason), ("by", by)) if not text.strip()]
    if missing:
        what = f"emergency control is not changed without {' and '.join(missing)}"
        raise CommandError("API-001", what, action="say who asks for it, and why")


def _existing(settings: Settings) -> Engine | None:
    """The database, None where control never wrote to it."""
    file = sqlite_file(settings.results_db_url)
    if file is not None and not file.exists():
        return None
    engine = connect(settings.results_db_url)
    with reading(engine) as connection:
        there = inspect(connection).has_table(TRANSITIONS.name)
    # Of a later revision the tables are gone: reading them says so, with a code.
    return engine if there or revision_of(engine) >= REVISION else None


def _opened(settings: Settings) -> Engine:
    engine = connect(settings.results_db_url)
    migrate(engine)
    return engine


def _state(connection: Connection, where: str) -> ControlState:
    latest_first = select(TRANSITIONS).order_by(TRANSITIONS.c.version.desc()).limit(1)
    last = connection.execute(latest_first).first()
    if last is None:
        return ControlState()
    if last.state not in list(State):
        what = f"{last.state!r} is no state of emergency control"
        raise ResultsError("RS-005", what, where=where)
    resumed = connection.execute(latest_first.where(TRANSITIONS.c.state == State.NORMAL)).first()
    return ControlState(
        State(last.state),
        last.at,
        last.reason,
        last.by,
        last.version,
        resumed.at if resumed else None,
    )


def _standing(connection: Connection) -> dict[Key, Row[Any]]:
    rows = connection.execute(select(BREACHES))
    return {(row.limit_name, row.mode, row.subject): row for row in rows}


def _breach(row: Row[Any]) -> Breach:
    value = float("nan") if row.value is None else row.value
    figure = Measured(Limit(row.limit_name), value, row.mode, row.subject)
    return Breach(figure, State(row.level), row.bound)


def _acknowledged(row: Row[Any]) -> Breach | None:
    """The breach that a person resumed in spite of."""
    if row.acknowledged_level is None:
        return None
    value = float("nan") if row.acknowledged_value is None else row.acknowledged_value
    figure = Measured(Limit(row.limit_name), value, row.mode, row.subject)
    return Breach(figure, State(row.acknowledged_level), row.bound)


def _worst(breaches: Iterable[Breach]) -> dict[Key, Breach]:
    found: dict[Key, Breach] = {}
    for breach in breaches:
        key = breach.measured.key
        if key not in found or not policy.covers(found[key], breach):
            found[key] = breach
    return found


def _settle(
    connection: Connection, asked: set[Key], breaches: Mapping[Key, Breach], now: datetime
) -> tuple[list[Breach], list[Breach]]:
    """Keep what stands now of what was asked for.

    Returns
    -------
    The breaches that nobody has accepted, and those of them that are seen for the first time.
    """
    before = _standing(connection)
    fresh, seen_first = [], []
    for key in asked & before.keys():
        connection.execute(
            delete(BREACHES).where(
                BREACHES.c.limit_name == key[0],
                BREACHES.c.mode == key[1],
                BREACHES.c.subject == key[2],
            )
        )
    for key, breach in breaches.items():
        row = before.get(key)
        accepted = _acknowledged(row) if row else None
        is_covered = accepted is not None and policy.covers(accepted, breach)
        is_new = row is None or (accepted is not None and not is_covered)
        if not is_covered:
            fresh.append(breach)
        if is_new:
            seen_first.append(breach)
        value = breach.measured.value
        connection.execute(
            insert(BREACHES).values(
                limit_name=key[0],
                mode=key[1],
                subject=key[2],
                level=breach.level,
                value=None if value != value else value,
                bound=breach.bound,
                since=row.since if row and not is_new else now,
                acknowledged_level=row.acknowledged_level if row and is_covered else None,
                acknowledged_value=row.acknowledged_value if row and is_covered else None,
            )
        )
    return fresh, seen_first


def _change(
    connection: Connection,
    state: ControlState,
    target: State,
    by: str,
    reason: str,
    breaches: Sequence[Breach] = (),
) -> Transition:
    """Add the next transition; a time never lies before the one before it."""
    now = datetime.now(UTC)
    at = max(now, state.since) if state.since else now
    run = correlation_id()
    made = Transition(state.version + 1, at, target, state.name, by, reason, run)
    connection.execute(
        insert(TRANSITIONS).values(
            version=made.version,
            at=made.at,
            state=made.state,
            previous=made.previous,
            by=made.by,
            reason=made.reason,
            breaches=json.dumps([breach.as_json() for breach in breaches]),
            pipeline_run=made.pipeline_run,
        )
    )
    return made


def _audit(settings: Settings, made: Transition | None) -> None:
    """Tell of a change that is committed; who made it tells of it, so it is told once."""
    if made:
        fields = {"state": made.state, "previous": made.previous, "by": made.by}
        _tell(
            settings, EVENTS[made.state], {"version": made.version, **fields, "reason": made.reason}
        )


def _tell(settings: Settings, kind: EventType, fields: Mapping[str, Any]) -> None:
    emit(settings, kind, COMPONENT, **fields)
