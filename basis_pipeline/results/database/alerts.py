"""The table of alerts: what waits to be delivered, and what was."""

from sqlalchemy import Column, Index, Integer, Table, Text

from basis_pipeline.results.database.tables import METADATA, UtcTime

ALERTS = Table(
    "alerts",
    METADATA,
    Column("sequence", Integer, primary_key=True, autoincrement=False),  # 1, 2, 3 …: the order
    Column("key", Text, nullable=False, unique=True),  # of what it is about: raised once
    Column("content", Text, nullable=False),  # the alert, JSON
    Column("raised_at", UtcTime, nullable=False),
    Column("delivered_at", UtcTime),
    Index(None, "delivered_at"),
)
