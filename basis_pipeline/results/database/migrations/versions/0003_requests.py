"""Backtest requests: the queue, and what became of each."""

import sqlalchemy as sa
from alembic import op

revision = "0003_requests"
down_revision = "0002_control"

TABLE = "backtest_requests"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        TABLE,
        sa.Column("sequence", sa.Integer, nullable=False, autoincrement=False),
        *_texts("request_id", "content", "mode", "status"),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        *_texts("pipeline_run", "run_id", "code", "message", "verdicts"),
        sa.PrimaryKeyConstraint("sequence", name=f"pk_{TABLE}"),
        sa.UniqueConstraint("request_id", name=f"uq_{TABLE}_request_id"),
    )
    op.create_index(f"ix_{TABLE}_status_sequence", TABLE, ["status", "sequence"])


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]
