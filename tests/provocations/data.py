"""Failures of raw files and datasets: each is a delivery gone wrong."""

from collections.abc import Callable
from pathlib import Path

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.loading import load_directory
from basis_pipeline.market.dataset import build_dataset
from basis_pipeline.market.raw import read_feed, read_feeds
from basis_pipeline.market.recognition import recognise
from basis_pipeline.market.window import parse_window
from tests.config.trees import COMMITTED

PERP = "market_data/derivatives/futures_ohlcv/bybit_ETHUSDT_perp_1h_2024-06-01_2024-06-02.csv"
RATES = "protocol_data/aave/rates/aave_v3_aave-v3-ethereum_USDT_rates_2024-06-01_2024-06-03.csv"
CATALOGUE = load_directory(COMMITTED / "datasets", DatasetConfig, "name")[0]
WINDOW = ("2024-06-01", "2024-06-02T23:00")

Spoil = Callable[[list[str]], list[str]]


def bars(hours: int = 48) -> list[str]:
    """Lines of a perpetual's file: a header and hourly bars."""
    found = ["timestamp,open,high,low,close,volume,source,symbol"]
    for hour in range(hours):
        price, at = 3000.0 + hour, f"2024-06-{1 + hour // 24:02d}T{hour % 24:02d}:00:00Z"
        found.append(f"{at},{price},{price + 2},{price - 2},{price + 1},10.5,bybit,ETHUSDT")
    return found


def put(place: Path, lines: list[str], name: str = PERP) -> Path:
    """Deliver a file."""
    path = place / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def delivered(spoil: Spoil) -> Callable[[Path], object]:
    """Read the family from a file whose lines were spoilt."""

    def provoke(place: Path) -> object:
        put(place, spoil(bars()))
        return read_feed(place, CATALOGUE["bybit_ethusdt_perp"])

    return provoke


def built(spoil: Spoil, *window: str) -> Callable[[Path], object]:
    """Build the dataset over a window from a file whose lines were spoilt."""

    def provoke(place: Path) -> object:
        config = CATALOGUE["bybit_ethusdt_perp"]
        put(place, spoil(bars()))
        sources = read_feeds(place, [CATALOGUE[name] for name in config.sources])
        return build_dataset(config, read_feed(place, config), parse_window(*window), sources)

    return provoke


def replaced(before: str, after: str) -> Spoil:
    """Every line with one text replaced."""
    return lambda lines: [line.replace(before, after) for line in lines]


def as_landed(lines: list[str]) -> list[str]:
    """The lines as they are."""
    return lines


def cut_off(place: Path) -> None:
    """A file whose copy was interrupted."""
    path = put(place, bars())
    path.write_bytes(path.read_bytes()[:-20])
    read_feed(place, CATALOGUE["bybit_ethusdt_perp"])


def disagreeing(place: Path) -> None:
    """Two files that overlap and differ."""
    put(place, bars())
    put(place, replaced(",10.5,", ",11.5,")(bars()), PERP.replace("06-02", "06-03"))
    read_feed(place, CATALOGUE["bybit_ethusdt_perp"])


def falling(place: Path) -> None:
    """An Aave index that falls."""
    header = "targetDate,timestamp,symbol,liquidityIndex,currentLiquidityRate,variableBorrowIndex,"
    header += "currentVariableBorrowRate,totalAToken,totalVariableDebt,price,date"
    rows = [
        f"2024-06-{day:02d}T00:00:00Z,0,USDT,{index},0.05,{index},0.06,9e6,8e6,1.0,x"
        for day, index in ((1, 1.01), (2, 1.02), (3, 1.015))
    ]
    put(place, [header, *rows], RATES)
    read_feed(place, CATALOGUE["aave_usdt_rates"])


def unrecognised(place: Path) -> None:
    """A table whose columns nobody knows."""
    recognise(put(place, ["colour,size", "red,3"]), [], [])


PROVOCATIONS = {
    "DATA-001": lambda place: read_feed(place, CATALOGUE["bybit_ethusdt_perp"]),
    "DATA-002": delivered(lambda lines: lines[:1]),
    "DATA-003": delivered(replaced("close", "last")),
    "DATA-004": delivered(replaced("3005.0", "n/k")),
    "DATA-005": cut_off,
    "DATA-006": delivered(lambda lines: [*lines, lines[5].replace("10.5", "11.5")]),
    "DATA-007": disagreeing,
    "DATA-008": delivered(replaced(",3005.0,", ",-3005.0,")),
    "DATA-009": falling,
    "DATA-010": built(as_landed, "2024-06-01", "2024-12-01"),
    "DATA-011": delivered(replaced("ETHUSDT", "BTCUSDT")),
    "DATA-012": built(as_landed, "2023-06-01", "2023-06-02"),
    "DATA-013": built(lambda lines: lines[:20] + lines[21:], *WINDOW),
    "DATA-015": delivered(lambda lines: [*lines[:9], "x" * 200_000]),
    "DATA-014": built(replaced("T05:00:00Z", "T05:30:00Z"), *WINDOW),
    "DATA-017": unrecognised,
    "DATA-016": delivered(replaced(",3005.0,", ",3005000.0,")),
}
