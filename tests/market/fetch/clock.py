"""The clock of a server under test: later data do not exist yet."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

HOUR_MS = 3_600_000


def ms(time: datetime | str) -> int:
    """Return milliseconds since the epoch; a text is ISO 8601, UTC unless stated otherwise."""
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
        time = time.replace(tzinfo=time.tzinfo or UTC)
    return int(time.timestamp() * 1000)


@dataclass
class MarketClock:
    """One clock for servers and fetches; a test moves it."""

    now: datetime

    @classmethod
    def at(cls, text: str) -> "MarketClock":
        """Return a clock that stands at a time in UTC."""
        return cls(datetime.fromisoformat(text).replace(tzinfo=UTC))

    @property
    def ms(self) -> int:
        """Return milliseconds since the epoch; a text is ISO 8601, UTC unless stated otherwise."""
        return ms(self.now)

    def advance(self, *, hours: float = 0, days: float = 0) -> None:
        """Let time pass."""
        self.now += timedelta(hours=hours, days=days)
