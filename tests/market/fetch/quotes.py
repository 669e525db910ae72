"""What markets quoted: bars and settlements by venue and symbol, made or read from raw files."""

import csv
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tests.market.fetch.clock import HOUR_MS, ms


class Bar(NamedTuple):
    """Open, high, low, close and volume."""

    open: float
    high: float
    low: float
    close: float
    volume: float


class Market(NamedTuple):
    """A venue's market; the settlement coin is empty for spot."""

    venue: str
    base: str
    quote: str
    settle: str = ""


@dataclass
class Quotes:
    """Bars of hours and settled rates, by market and by milliseconds since the epoch."""

    bars: dict[Market, dict[int, Bar]] = field(default_factory=dict)
    funding: dict[Market, dict[int, float]] = field(default_factory=dict)

    def make(
        self, market: Market, since: str, until: str, level: float = 100.0, every_hours: int = 8
    ) -> None:
        """Add a market that walks around a level, with its settlements when it is a perpetual."""
        draw = random.Random(str(market))
        price = level
        self.bars[market] = {}
        for timestamp in range(ms(since), ms(until), HOUR_MS):
            close = price * math.exp(draw.gauss(0.0, 0.004))
            high, low = max(price, close) * 1.001, min(price, close) * 0.999
            values = (round(value, 4) for value in (price, high, low, close))
            self.bars[market][timestamp] = Bar(*values, round(draw.uniform(10.0, 99.0), 3))
            price = round(close, 4)
        if market.settle:
            timestamps = range(ms(since), ms(until), every_hours * HOUR_MS)
            self.funding[market] = {s: round(draw.gauss(1e-4, 5e-5), 8) for s in timestamps}

    def read_bars(self, market: Market, files: Iterable[Path]) -> None:
        """Add the bars of raw files."""
        self.bars[market] = {
            _timestamp(row["timestamp"]): Bar(*(float(row[name]) for name in Bar._fields))
            for file in files
            for row in _rows(file)
        }

    def read_funding(self, market: Market, files: Iterable[Path]) -> None:
        """Add the settlements of raw files."""
        self.funding[market] = {
            _timestamp(row["funding_timestamp"]): float(row["funding_rate"])
            for file in files
            for row in _rows(file)
        }

    def drop(self, market: Market, since: str, until: str) -> None:
        """Let an outage of the venue have left no bars of [since, until)."""
        for timestamp in range(ms(since), ms(until), HOUR_MS):
            self.bars[market].pop(timestamp, None)

    def revise(self, market: Market, timestamp: str, close: float) -> None:
        """Let the venue change the close of a bar."""
        at = ms(timestamp)
        self.bars[market][at] = self.bars[market][at]._replace(close=close)


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open() as lines:
        return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def _timestamp(text: str) -> int:
    time = datetime.fromisoformat(text)
    return ms(time.replace(tzinfo=time.tzinfo or UTC))
