"""Backtest requests keep the correlation id of their call."""

import sqlalchemy as sa
from alembic import op

revision = "0002_correlation"
down_revision = "0001_tables"


def upgrade() -> None:
    """Add the column."""
    column = sa.Column("correlation_id", sa.Text, nullable=False, server_default="")
    op.add_column("backtest_requests", column)
