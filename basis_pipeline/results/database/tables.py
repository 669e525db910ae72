"""The tables of the results database, in SQLAlchemy Core; the same on SQLite and PostgreSQL.

Tables of other concepts are defined in modules of their own against the same `METADATA`, each with
a migration of its own.
"""

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

RECORDED, MISSING = "recorded", "missing"  # whether a run's files are where its row says
# Figures of a run's summary that its row holds.
HEADLINES = (
    "final_equity",
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
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcTime(TypeDecorator[datetime]):
    """A moment, to the microsecond: always aware, always UTC, on every database.

    SQLite keeps no zone, and PostgreSQL answers in the session's; naive times are refused.
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
        """Answer in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


def _of_run() -> Column[str]:
    return Column("run_id", Text, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True)


RUNS = Table(
    "runs",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("number", Integer, nullable=False, unique=True),  # the order they were recorded in
    Column("mode", Text, nullable=False),
    Column("share_class", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("status", Text, nullable=False),  # of RECORDED, MISSING
    Column("config_hash", Text, nullable=False),
    Column("data_hash", Text, nullable=False),
    Column("start", UtcTime, nullable=False),
    Column("end", UtcTime, nullable=False),
    Column("capital", Double, nullable=False),
    Column("engine_version", Text, nullable=False),
    *(Column(name, Double) for name in HEADLINES[:-2]),
    *(Column(name, Integer, nullable=False) for name in HEADLINES[-2:]),
    Column("files", Text, nullable=False),
    Column("summary_sha256", Text, nullable=False),
    Column("verdicts_sha256", Text),  # none where it has not been judged
    Column("path", Text, nullable=False),
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
    Column("at", UtcTime, nullable=False),
    Column("kind", Text, nullable=False),
    Column("venue", Text, nullable=False),
    Column("instrument", Text, nullable=False),
    Column("quantity", Double),
    Column("price", Double),
    Column("notional", Double),
    Column("fee", Double),
    Column("gas", Double),
    Column("reason", Text, nullable=False),
    sqlite_with_rowid=False,
)

POSITIONS = Table(
    "positions",
    METADATA,
    _of_run(),
    Column("position", Text, primary_key=True),
    Column("quantity", Double),
    Column("lowest", Double),
    Column("highest", Double),
    Index(None, "position"),
    sqlite_with_rowid=False,
)

DAILY_PERFORMANCE = Table(
    "daily_performance",
    METADATA,
    _of_run(),
    Column("day", Date, primary_key=True),
    Column("equity", Double),
    Column("flow", Double),
    Column("daily_return", Double),
    Column("drawdown", Double),
    *(Column(name, Double) for name in COMPONENTS),
    sqlite_with_rowid=False,
)

GATE_VERDICTS = Table(
    "gate_verdicts",
    METADATA,
    _of_run(),
    Column("asset", Text, primary_key=True),
    Column("check_name", Text, primary_key=True),
    Column("phase", Integer, nullable=False),
    Column("severity", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("measured", Double),
    Column("limit_value", Double),
    Column("unit", Text, nullable=False),
    Column("evidence", Text, nullable=False),  # JSON
    Column("evaluated_at", UtcTime),
    Column("pipeline_run", Text, nullable=False),
    Index(None, "status"),
    sqlite_with_rowid=False,
)

BACKTEST_REQUESTS = Table(
    "backtest_requests",
    METADATA,
    Column("sequence", Integer, primary_key=True, autoincrement=False),  # 1, 2, 3 …: the order
    Column("request_id", Text, nullable=False, unique=True),
    Column("content", Text, nullable=False),  # the request, canonical JSON
    Column("mode", Text, nullable=False),
    Column("status", Text, nullable=False),  # of operations.requests.model.Status
    Column("submitted_at", UtcTime, nullable=False),
    Column("attempts", Integer, nullable=False),  # runs that began to serve it
    Column("finished_at", UtcTime),
    Column("pipeline_run", Text, nullable=False),  # that served it; empty before that
    Column("run_id", Text, nullable=False),  # of the result; empty while there is none
    Column("code", Text, nullable=False),  # why there is no result; empty otherwise
    Column("message", Text, nullable=False),
    Index(None, "status", "sequence"),
)
