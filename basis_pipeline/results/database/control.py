"""Tables of emergency control: its changes, the open breaches, and alerts to be delivered."""

from sqlalchemy import Column, Index, Integer, Table, Text

from basis_pipeline.results.database.tables import METADATA, UtcTime

# The state is the last row: a number can be taken once, so a change is made once, by one.
CONTROL_TRANSITIONS = Table(
    "control_transitions",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),  # 1, 2, 3 …
    Column("at", UtcTime, nullable=False),
    Column("state", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("breaches", Text, nullable=False),  # those it was made for, JSON
    Column("pipeline_run", Text, nullable=False),
)

# One row: what is open now, replaced as a whole by who holds the lock of the state.
CONTROL_BREACHES = Table(
    "control_breaches",
    METADATA,
    Column("content", Text, primary_key=True),  # JSON
)

ALERTS = Table(
    "alerts",
    METADATA,
    Column("sequence", Integer, primary_key=True, autoincrement=False),  # 1, 2, 3 …: the order
    Column("key", Text, nullable=False, unique=True),  # of what it is about: delivered once
    Column("content", Text, nullable=False),  # the alert, JSON
    Column("raised_at", UtcTime, nullable=False),
    Column("delivered_at", UtcTime),
    Index(None, "delivered_at"),
)
