"""Backtest requests: what is asked for, the queue it waits in, and the inbox of files.

model.py    what a request may say, and how it is validated before it is accepted
queue.py    requests in the results database: one row each, served in the order of acceptance
inbox.py    files → queue; what is rejected is moved aside with its error
serving.py  one request → one backtest → one recorded run, or the reason why there is none
"""

from basis_pipeline.operations.requests.model import BacktestRequest, Served, Status
from basis_pipeline.operations.requests.queue import submit

__all__ = ["BacktestRequest", "Served", "Status", "submit"]
