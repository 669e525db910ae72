"""Where every database begins: the tables of `METADATA`, which `migrate` makes itself."""

revision = "0001_tables"
down_revision = None


def upgrade() -> None:
    """Do nothing: no database is older."""
