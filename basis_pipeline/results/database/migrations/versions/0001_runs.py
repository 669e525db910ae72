"""Runs, and what is known of each: trades, positions, daily performance, verdicts; events."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001_runs"
down_revision = None

COMPONENTS = (
    "lending",
    "borrowing",
    "staking",
    "rewards",
    "funding",
    "spot_price",
    "perp_price",
    "execution_cost",
    "gas",
    "liquidation",
)


def upgrade() -> None:
    """Make the tables and their indexes."""
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("share_class", sa.Text, nullable=False),
        _time("created_at"),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("config_hash", sa.Text, nullable=False),
        sa.Column("data_hash", sa.Text, nullable=False),
        _time("start"),
        _time("end"),
        sa.Column("capital", sa.Double, nullable=False),
        sa.Column("engine_version", sa.Text, nullable=False),
        *_figures("final_equity", "total_return", "apy", "volatility", "sharpe", "max_drawdown"),
        *_figures("min_health_factor", "min_margin_ratio"),
        sa.Column("rebalances", sa.Integer, nullable=False),
        sa.Column("liquidations", sa.Integer, nullable=False),
        sa.Column("files", sa.Text, nullable=False),
        sa.Column("summary_sha256", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_runs"),
        sa.UniqueConstraint("number", name="uq_runs_number"),
        sqlite_with_rowid=False,
    )
    _index("runs", "mode", "number")
    _index("runs", "created_at")
    _index("runs", "config_hash")
    _of_run(
        "trades",
        sa.Column("sequence", sa.Integer, nullable=False),
        _time("at"),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("venue", sa.Text, nullable=False),
        sa.Column("instrument", sa.Text, nullable=False),
        *_figures("quantity", "price", "notional", "fee", "gas"),
        sa.Column("reason", sa.Text, nullable=False),
        key=("sequence",),
    )
    _of_run(
        "positions",
        sa.Column("position", sa.Text, nullable=False),
        *_figures("quantity", "lowest", "highest"),
        key=("position",),
    )
    _index("positions", "position")
    _of_run(
        "daily_performance",
        sa.Column("day", sa.Date, nullable=False),
        *_figures("equity", "flow", "daily_return", "drawdown", *COMPONENTS),
        key=("day",),
    )
    _of_run(
        "gate_verdicts",
        sa.Column("asset", sa.Text, nullable=False),
        sa.Column("check_name", sa.Text, nullable=False),
        sa.Column("phase", sa.Integer, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("figures", sa.Text, nullable=False),
        _time("evaluated_at", nullable=True),
        sa.Column("pipeline_run", sa.Text, nullable=False),
        key=("asset", "check_name"),
    )
    _index("gate_verdicts", "verdict")
    op.create_table(
        "event_index",
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        _time("at"),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("type", "level", "mode", "pipeline_run", "component")
        ),
        sa.PrimaryKeyConstraint("file", "position", name="pk_event_index"),
        sqlite_with_rowid=False,
    )
    _index("event_index", "at")
    for name in ("type", "mode", "pipeline_run"):
        _index("event_index", name, "at")


def _time(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _figures(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Double) for name in names]


def _index(table: str, *columns: str) -> None:
    op.create_index("_".join(("ix", table, *columns)), table, columns)


def _of_run(table: str, *columns: sa.Column[Any], key: tuple[str, ...]) -> None:
    op.create_table(
        table,
        sa.Column("run_id", sa.Text, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("run_id", *key, name=f"pk_{table}"),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.run_id"], name=f"fk_{table}_run_id_runs", ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )
