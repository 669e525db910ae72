"""Signals of accounts."""

from alembic import op

from basis_pipeline.results.database.tables import ACCOUNT_SIGNALS

revision = "0002_account_signals"
down_revision = "0001_tables"


def upgrade() -> None:
    """Make the table."""
    ACCOUNT_SIGNALS.create(op.get_bind())
