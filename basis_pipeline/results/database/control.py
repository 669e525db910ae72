"""Tables of emergency control: every change of its state, and the breaches that stand."""

from sqlalchemy import Column, Double, Integer, Table, Text

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

CONTROL_BREACHES = Table(
    "control_breaches",
    METADATA,
    Column("limit_name", Text, primary_key=True),
    Column("mode", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("level", Text, nullable=False),
    Column("value", Double),  # none where it is no number
    Column("bound", Double, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("acknowledged_level", Text),
    Column("acknowledged_value", Double),
)
