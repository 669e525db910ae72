"""Tables of emergency control: every change of its state, and the open breaches."""

from sqlalchemy import Column, Integer, Table, Text

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
