"""Alerts that wait for their receiver; breaches are accepted as a whole by a resume."""

import sqlalchemy as sa
from alembic import op

revision = "0004_alerts"
down_revision = "0003_requests"


def upgrade() -> None:
    """Make the table of alerts, and that of breaches anew: it holds what is open now only."""
    op.create_table(
        "alerts",
        sa.Column("sequence", sa.Integer, nullable=False, autoincrement=False),
        *_texts("key", "content"),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("sequence", name="pk_alerts"),
        sa.UniqueConstraint("key", name="uq_alerts_key"),
    )
    op.create_index("ix_alerts_delivered_at", "alerts", ["delivered_at"])
    op.drop_table("control_breaches")
    op.create_table(
        "control_breaches",
        *_texts("content"),
        sa.PrimaryKeyConstraint("content", name="pk_control_breaches"),
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]
