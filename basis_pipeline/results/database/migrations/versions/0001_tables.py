"""The first revision: the tables of `METADATA`, which `migrate` itself creates."""

revision = "0001_tables"
down_revision = None


def upgrade() -> None:
    """Do nothing: no database is older."""
