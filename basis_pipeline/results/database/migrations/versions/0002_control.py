"""Emergency control: its transitions, and the breaches that stand."""

import sqlalchemy as sa
from alembic import op

revision = "0002_control"
down_revision = "0001_runs"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "control_transitions",
        sa.Column("version", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *_texts("state", "previous", "by", "reason", "breaches", "pipeline_run"),
        sa.PrimaryKeyConstraint("version", name="pk_control_transitions"),
    )
    op.create_table(
        "control_breaches",
        *_texts("limit_name", "mode", "subject", "level"),
        sa.Column("value", sa.Double),
        sa.Column("bound", sa.Double, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acknowledged_level", sa.Text),
        sa.Column("acknowledged_value", sa.Double),
        sa.PrimaryKeyConstraint("limit_name", "mode", "subject", name="pk_control_breaches"),
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]
