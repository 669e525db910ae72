"""Daily yields of a pool, from DefiLlama."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

from basis_pipeline.config.source import DefiLlama
from basis_pipeline.errors import FetchError
from basis_pipeline.market.fetch.http import HttpClient
from basis_pipeline.market.fetch.rows import Rows, milliseconds

DAY = timedelta(days=1)
DAY_MS = DAY // timedelta(milliseconds=1)
DAYS_A_YEAR = 365


class YieldSeries:
    """The chart of one pool: one point per day.

    DefiLlama states an APY in percent. The rows hold the equivalent APR with daily compounding.
    """

    columns = frozenset(("apr",))
    step = DAY

    def __init__(self, source: DefiLlama, http: HttpClient) -> None:
        self.source, self.http = source, http
        self.publisher = f"DefiLlama pool {source.pool}"

    def latest(self, now: datetime) -> datetime:
        """Return a day before now: the point of a day may change until the day has ended."""
        return now - DAY

    def pages(self, start: int, end: int) -> Iterator[Rows]:  # noqa: ARG002 - see below
        """Yield the only page: the whole history, whatever part is requested."""
        path = f"/chart/{self.source.pool}"
        where = self.http.host.name + path
        body = self.http.get(path)
        if body is None:
            raise FetchError("FETCH-003", "DefiLlama has no such pool", where=where)
        try:
            points = json.loads(body)["data"]
            days = {
                # The last point of a day counts.
                milliseconds(datetime.fromisoformat(point["timestamp"])) // DAY_MS: float(value)
                for point in sorted(points, key=lambda point: str(point["timestamp"]))
                if (value := point[self.source.column]) is not None
            }
        except (ValueError, KeyError, TypeError) as error:
            what = f"the answer is not a chart: {type(error).__name__} {error}"
            raise FetchError("FETCH-004", what, where=where) from None
        yield {day * DAY_MS: {"apr": _apr(percent)} for day, percent in days.items()}


def _apr(apy_percent: float) -> float:
    return DAYS_A_YEAR * float((1.0 + apy_percent / 100.0) ** (1.0 / DAYS_A_YEAR) - 1.0)
