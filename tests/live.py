"""A data directory to which files are delivered hour by hour, out of one that has them all."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from basis_pipeline.config import Configs
from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.universe import BARS, Kind
from basis_pipeline.market.raw import feed_files, read_feed
from basis_pipeline.times import HOUR_NS

# What is known of a row only after it has ended: a bar.
KNOWN_AFTER = dict.fromkeys(BARS, HOUR_NS)


@dataclass
class Delivery:
    """Feeds delivered up to an hour, row by row as they would be known.

    Parameters
    ----------
    source: a complete data directory. target: where the files go, under the same names.
    held_back: feed → the last hour that is delivered of it. changed: feed → its text as it is
        delivered instead.
    """

    source: Path
    target: Path
    configs: Configs
    feeds: Collection[str]
    held_back: dict[str, pd.Timestamp] = field(default_factory=dict)
    changed: dict[str, Callable[[str], str]] = field(default_factory=dict)
    _lines: dict[str, list[tuple[Path, str, list[tuple[int, str]]]]] = field(default_factory=dict)

    def up_to(self, now: pd.Timestamp) -> None:
        """Deliver what is known at `now`."""
        for name in self.feeds:
            config = self.configs.datasets[name]
            reach = min(now, self.held_back.get(name, now)).value
            for file, header, rows in self._rows(name, config):
                text = header + "".join(line for known, line in rows if known <= reach)
                text = self.changed.get(name, str)(text)
                place = self.target / file.relative_to(self.source)
                if not place.exists() or place.read_text() != text:
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_text(text)

    def _rows(
        self, name: str, config: DatasetConfig
    ) -> list[tuple[Path, str, list[tuple[int, str]]]]:
        """Every file with its header and its rows, each with the time it is known."""
        if name not in self._lines:
            files = feed_files(self.source, config)
            self._lines[name] = [(file, *self._split(file, config)) for file in files]
        return self._lines[name]

    def _split(self, file: Path, config: DatasetConfig) -> tuple[str, list[tuple[int, str]]]:
        text = file.read_text()
        if config.is_document:
            return text, []
        lines = text.splitlines(keepends=True)
        feed = read_feed(self.source, config)
        assert config.timestamp is not None
        own = feed.frame[feed.frame["file"] == file.relative_to(self.source).as_posix()]
        times = pd.DatetimeIndex(own[config.timestamp.column]).asi8
        first = len(lines) - len(times)
        later = KNOWN_AFTER.get(Kind(config.kind), 0)
        # Some settlements are stamped moments before or after their hour.
        known = (times + HOUR_NS // 2) // HOUR_NS * HOUR_NS + later
        rows = list(zip(known.tolist(), lines[first:], strict=True))
        return "".join(lines[:first]), rows
