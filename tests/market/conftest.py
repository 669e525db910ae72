"""Small raw files of the catalogue's feeds, written where a test wants them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.loading import load_directory
from basis_pipeline.market.dataset import Dataset, build_dataset
from basis_pipeline.market.raw import RawFeed, read_feed, read_feeds
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.window import Window, parse_window

PERPS = "market_data/derivatives/futures_ohlcv"

WEEK = parse_window("2024-06-01", "2024-06-07T23:00")

PERP = f"{PERPS}/bybit_ETHUSDT_perp_1h_2024-06-01_2024-06-02.csv"

Catalogue = dict[str, DatasetConfig]
Lines = Callable[..., list[str]]
Put = Callable[[str, list[str]], Path]
Read = Callable[..., RawFeed]


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """Return every dataset of the committed catalogue, by name."""
    root = Path(__file__).parents[2]
    return load_directory(root / "configs" / "datasets", DatasetConfig, "name")[0]


@pytest.fixture
def bars() -> Lines:
    """Return lines of a perpetual's file: a header and `hours` bars from a day's 00:00 on."""

    def lines(hours: int = 48, symbol: str = "ETHUSDT", day: int = 1) -> list[str]:
        found = ["timestamp,open,high,low,close,volume,source,symbol,data_type,turnover"]
        for hour in range(hours):
            at = f"2024-06-{day + hour // 24:02d}T{hour % 24:02d}:00:00Z"
            price = 3000.0 + hour
            found.append(
                f"{at},{price},{price + 2},{price - 2},{price + 1},10.5,bybit,{symbol},futures,"
                f"{price * 10.5:.4f}"
            )
        return found

    return lines


@pytest.fixture
def settlements() -> Lines:
    """Return lines of a funding file: a header and one rate every `every` hours."""

    def lines(count: int = 12, every: int = 8, rate: float = 0.0001) -> list[str]:
        found = ["funding_timestamp,funding_rate,symbol,source"]
        for i in range(count):
            hour = i * every
            at = f"2024-06-{1 + hour // 24:02d}T{hour % 24:02d}:00:00Z"
            found.append(f"{at},{rate * (1 + i % 12):.8f},ETHUSDT,venue")
        return found

    return lines


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Write lines to a path below the test's data directory."""

    def write(name: str, lines: list[str]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture
def build(tmp_path: Path, catalogue: Catalogue) -> Callable[..., Dataset]:
    """Build one dataset of the test's data directory; its sources are read along."""

    def built(name: str, window: Window = WEEK, config: DatasetConfig | None = None) -> Dataset:
        config = config or catalogue[name]
        raw = read_feed(tmp_path, config)
        sources = read_feeds(tmp_path, [catalogue[source] for source in config.sources])
        return build_dataset(config, raw, window, sources)

    return built


def rejection(build: Callable[..., Dataset], *given: object, **named: object) -> RejectedDataError:
    """Return the error that a dataset is rejected with."""
    with pytest.raises(RejectedDataError) as caught:
        build(*given, **named)
    return caught.value


def perp(venue: str) -> str:
    """Return the path of a venue's ETH perpetual."""
    return f"{PERPS}/{venue}_ETHUSDT_perp_1h_2024-06-01_2024-06-07.csv"


def without(lines: list[str], hours: set[int]) -> list[str]:
    """Return the lines without the rows of those hours; the header stays."""
    return [line for i, line in enumerate(lines) if i - 1 not in hours]


@pytest.fixture
def read(tmp_path: Path, catalogue: Catalogue) -> Read:
    """Read one feed of the test's data directory."""
    return lambda name="bybit_ethusdt_perp": read_feed(tmp_path, catalogue[name])


def rejected_feed(read: Read, name: str = "bybit_ethusdt_perp") -> RejectedDataError:
    """Return the error that a feed is rejected with."""
    with pytest.raises(RejectedDataError) as caught:
        read(name)
    return caught.value
