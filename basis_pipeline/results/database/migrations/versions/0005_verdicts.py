"""A recorded verdict is the one of `verdicts.json`; the index of the audit log is gone."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005_verdicts"
down_revision = "0004_alerts"

TABLE = "gate_verdicts"
REQUESTS = "backtest_requests"


def upgrade() -> None:
    """Make the table anew: its rows are derived from the files."""
    op.drop_table(TABLE)
    op.create_table(
        TABLE,
        sa.Column("run_id", sa.Text, nullable=False),
        *_texts("asset", "check_name"),
        sa.Column("phase", sa.Integer, nullable=False),
        *_texts("severity", "status", "message"),
        sa.Column("measured", sa.Double),
        sa.Column("limit_value", sa.Double),
        *_texts("unit", "evidence"),
        sa.Column("evaluated_at", sa.DateTime(timezone=True)),
        *_texts("pipeline_run"),
        sa.PrimaryKeyConstraint("run_id", "asset", "check_name", name=f"pk_{TABLE}"),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.run_id"], name=f"fk_{TABLE}_run_id_runs", ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(f"ix_{TABLE}_status", TABLE, ["status"])
    op.drop_table("event_index")
    op.add_column("runs", sa.Column("verdicts_sha256", sa.Text))
    op.drop_column(REQUESTS, "verdicts")
    rejected = sa.text(f"UPDATE {REQUESTS} SET status = 'rejected' WHERE status = 'refused'")
    op.execute(rejected)


def _texts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]
