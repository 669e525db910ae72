"""The public archive of Binance, and DefiLlama's charts: files as their publishers make them."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.market.fetch.clock import HOUR_MS, MarketClock, ms
from tests.market.fetch.quotes import Quotes
from tests.market.fetch.server import NOT_FOUND, Answer, Asked, Server, serving

DAY = timedelta(days=1)
POOL = "66985a81-9c51-46ca-9977-42b4fe7bc6df"


@dataclass
class Archive:
    """Zips of days and months that have ended, each with its checksum.

    month_delay: from the end of a month to its zip. absent: labels of zips that are not there.
    member: the name of the file in a zip, when it is another than the zip's.
    """

    quotes: Quotes
    clock: MarketClock
    month_delay: timedelta = 4 * DAY
    absent: set[str] = field(default_factory=set)
    member: str = ""

    def __call__(self, asked: Asked) -> Answer:
        """Answer with a zip or its checksum."""
        name = asked.path.rpartition("/")[2]
        stem = name.partition(".")[0]
        is_monthly, is_funding = "/monthly/" in asked.path, "/fundingRate/" in asked.path
        symbol, _, *label = stem.split("-")
        since = datetime.fromisoformat("-".join([*label, "01"][:3])).replace(tzinfo=UTC)
        until = (since + 31 * DAY).replace(day=1) if is_monthly else since + DAY
        due = until + (self.month_delay if is_monthly else DAY / 2)
        if due > self.clock.now or "-".join(label) in self.absent or (is_funding > is_monthly):
            return NOT_FOUND
        archive = self.zipped(symbol, stem, since, until, spot="/spot/" in asked.path)
        if name.endswith(".CHECKSUM"):
            digest = hashlib.sha256(archive).hexdigest()
            return Answer(f"{digest}  {stem}.zip\n".encode())
        return Answer(archive)

    def zipped(
        self, symbol: str, stem: str, since: datetime, until: datetime, *, spot: bool
    ) -> bytes:
        """Return a zip of rows of [since, until), the same bytes for the same rows."""
        market = next(
            one
            for one in self.quotes.bars
            if f"{one.base}{one.quote}" == symbol and bool(one.settle) != spot
        )
        timestamps = range(ms(since), ms(until), HOUR_MS)
        if "fundingRate" in stem:
            lines = ["calc_time,funding_interval_hours,last_funding_rate"]
            rates = self.quotes.funding[market]
            lines += [f"{s},8,{rates[s]:.8f}" for s in timestamps if s in rates]
        else:
            bars = self.quotes.bars[market]
            lines = [
                f"{s},{','.join(map(str, bars[s]))},{s + HOUR_MS - 1},0,1,0,0,0"
                for s in timestamps
                if s in bars
            ]
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
            member = zipfile.ZipInfo(f"{self.member or stem}.csv", (2024, 1, 1, 0, 0, 0))
            archive.writestr(member, "\n".join(lines) + "\n")
        return written.getvalue()


@contextmanager
def binance_archive(quotes: Quotes, clock: MarketClock) -> Iterator[tuple[Server, Archive]]:
    """Run the archive until the end of the block."""
    archive = Archive(quotes, clock)
    with serving(archive) as server:
        yield server, archive


@contextmanager
def defillama(clock: MarketClock, since: str, apy: float = 24.71) -> Iterator[Server]:
    """Serve the chart of one pool: one point per day at 23:01, and one for the current time."""
    first = datetime.fromisoformat(since).replace(tzinfo=UTC)

    def respond(asked: Asked) -> Answer:
        if asked.path != f"/chart/{POOL}":
            return NOT_FOUND
        points = []
        day = first
        while day <= clock.now:
            at = min(day.replace(hour=23, minute=1), clock.now)
            text = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            points.append({"timestamp": text, "apy": apy + (day - first).days, "apyBase": apy})
            day += DAY
        return Answer({"status": "success", "data": points})

    with serving(respond) as server:
        yield server
