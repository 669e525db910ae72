"""The table of backtest requests: the queue, and what became of each."""

from sqlalchemy import Column, Index, Integer, Table, Text

from basis_pipeline.results.database.tables import METADATA, UtcTime

BACKTEST_REQUESTS = Table(
    "backtest_requests",
    METADATA,
    Column("sequence", Integer, primary_key=True, autoincrement=False),  # 1, 2, 3 …: the order
    Column("request_id", Text, nullable=False, unique=True),
    Column("content", Text, nullable=False),  # the request, canonical JSON
    Column("mode", Text, nullable=False),
    Column("status", Text, nullable=False),  # queued, running, done, refused, failed
    Column("submitted_at", UtcTime, nullable=False),
    Column("attempts", Integer, nullable=False),  # runs that began to serve it
    Column("finished_at", UtcTime),
    Column("pipeline_run", Text, nullable=False),  # that served it; empty before that
    Column("run_id", Text, nullable=False),  # of the result; empty while there is none
    Column("code", Text, nullable=False),  # of what refused it; empty otherwise
    Column("message", Text, nullable=False),
    Column("verdicts", Text, nullable=False),  # of the result's gates, JSON {gate: verdict}
    Index(None, "status", "sequence"),
)
