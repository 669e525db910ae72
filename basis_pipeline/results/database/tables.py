"""The tables of the results database, in SQLAlchemy Core; the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime

from sqlalchemy import (
    Column,
    Date,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator

from basis_pipeline.results.tables import COMPONENTS

RECORDED, MISSING = "recorded", "missing"  # status of a run: whether its files exist
# Figures of a run's summary that are columns of its row.
HEADLINES = (
    "final_equity",
    "closed_equity",
    "total_return",
    "apy",
    "volatility",
    "sharpe",
    "max_drawdown",
    "min_health_factor",
    "min_margin_ratio",
    "rebalances",
    "liquidations",
)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC, to the microsecond, always with its zone, on every database.

    SQLite stores no zone, and PostgreSQL returns the session's; naive times are rejected.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


def _texts(*names: str) -> list[Column[str]]:
    return [Column(name, Text, nullable=False) for name in names]


def _times(*names: str) -> list[Column[datetime]]:
    return [Column(name, UtcTime, nullable=False) for name in names]


def _doubles(*names: str) -> list[Column[float]]:
    return [Column(name, Double) for name in names]


def _of_run() -> Column[str]:
    return Column("run_id", Text, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True)


RUNS = Table(
    "runs",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("number", Integer, nullable=False, unique=True),  # the order they were recorded in
    *_texts("mode", "share_class"),
    *_times("created_at"),
    *_texts("status", "config_hash", "data_hash"),  # status: RECORDED or MISSING
    *_times("start", "end"),
    Column("capital", Double, nullable=False),
    *_texts("engine_version"),
    *_doubles(*HEADLINES[:-2]),
    *(Column(name, Integer, nullable=False) for name in HEADLINES[-2:]),
    *_texts("summary_sha256"),
    Column("verdicts_sha256", Text),  # NULL without verdicts
    *_texts("path"),
    Index(None, "mode", "number"),
    Index(None, "created_at"),
    Index(None, "config_hash"),
    sqlite_with_rowid=False,
)

TRADES = Table(
    "trades",
    METADATA,
    _of_run(),
    Column("sequence", Integer, primary_key=True),
    *_times("at"),
    *_texts("kind", "venue", "instrument"),
    *_doubles("quantity", "price", "notional", "fee", "gas"),
    *_texts("reason"),
    sqlite_with_rowid=False,
)

POSITIONS = Table(
    "positions",
    METADATA,
    _of_run(),
    Column("position", Text, primary_key=True),
    *_doubles("quantity", "lowest", "highest"),
    Index(None, "position"),
    sqlite_with_rowid=False,
)

DAILY_PERFORMANCE = Table(
    "daily_performance",
    METADATA,
    _of_run(),
    Column("day", Date, primary_key=True),
    *_doubles("equity", "flow", "daily_return", "drawdown", *COMPONENTS),
    sqlite_with_rowid=False,
)

GATE_VERDICTS = Table(
    "gate_verdicts",
    METADATA,
    _of_run(),
    Column("asset", Text, primary_key=True),
    Column("check_name", Text, primary_key=True),
    Column("phase", Integer, nullable=False),
    *_texts("severity", "status", "message"),
    *_doubles("measured", "limit_value"),
    *_texts("unit", "evidence"),  # evidence: JSON
    Column("evaluated_at", UtcTime),
    *_texts("pipeline_run"),
    Index(None, "status"),
    sqlite_with_rowid=False,
)

OF_A_RUN = (DAILY_PERFORMANCE, TRADES, POSITIONS, GATE_VERDICTS)

BACKTEST_REQUESTS = Table(
    "backtest_requests",
    METADATA,
    Column("sequence", Integer, primary_key=True, autoincrement=False),  # 1, 2, 3 …: their order
    Column("request_id", Text, nullable=False, unique=True),
    *_texts("content", "mode"),  # content: the request, canonical JSON
    *_texts("status"),  # of operations.requests.model.Status
    *_times("submitted_at"),
    Column("attempts", Integer, nullable=False),  # runs that began to serve it
    Column("finished_at", UtcTime),
    # The pipeline run that served it, the resulting run, or why there is none; empty before that.
    *_texts("pipeline_run", "run_id", "code", "message"),
    Column("correlation_id", Text, nullable=False, server_default=""),  # of the call
    Index(None, "status", "sequence"),
)

# The last row is the state; the key makes sure that each change is made once.
CONTROL_TRANSITIONS = Table(
    "control_transitions",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),  # 1, 2, 3 …
    *_times("at"),
    *_texts("state", "previous", "by", "reason", "pipeline_run"),
)

# One row: the open breaches, replaced as a whole under the lock of the state.
CONTROL_BREACHES = Table(
    "control_breaches",
    METADATA,
    Column("content", Text, primary_key=True),  # JSON
)

# The signal of each account at each hour.
ACCOUNT_SIGNALS = Table(
    "account_signals",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("hour", UtcTime, primary_key=True),
    Column("leg", Integer, nullable=False),
    *_texts("action", "trigger"),
    Column("orders", Integer, nullable=False),
    Column("equity", Double, nullable=False),
    *_times("made_at"),
    *_texts("content"),  # the whole signal, JSON
)
