"""Backtest requests: their content, their queue and their inbox.

model.py    the fields of a request, and its validation
queue.py    requests in the results database: one row each, served in the order of acceptance
inbox.py    files → queue; rejected files are moved aside with their error
serving.py  one request → one backtest → one recorded run, or the reason why there is none
"""

from basis_pipeline.operations.requests.model import BacktestRequest, Served, Status
from basis_pipeline.operations.requests.queue import submit

__all__ = ["BacktestRequest", "Served", "Status", "submit"]
