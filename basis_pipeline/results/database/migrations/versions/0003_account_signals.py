"""Signals of accounts."""

from alembic import op

from basis_pipeline.results.database.tables import ACCOUNT_SIGNALS

revision = "0003_account_signals"
down_revision = "0002_correlation"


def upgrade() -> None:
    """Make the table."""
    ACCOUNT_SIGNALS.create(op.get_bind())
