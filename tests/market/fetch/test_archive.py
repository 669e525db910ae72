"""Zips of Binance's archive: kept as they are, verified, days until the month has one."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from basis_pipeline.config import DatasetConfig
from basis_pipeline.market.fetch.store import read_revisions
from tests.market.fetch.archive_server import Archive, binance_archive
from tests.market.fetch.clock import MarketClock
from tests.market.fetch.conftest import BTC
from tests.market.fetch.feeds import feed, fetch
from tests.market.fetch.quotes import Quotes
from tests.market.fetch.server import Fault, Server

Served = tuple[Server, Archive]


@pytest.fixture
def served() -> Iterator[Served]:
    """Run the archive on the tenth of February, with every month and day that has ended."""
    quotes, clock = Quotes(), MarketClock.at("2024-02-10T14:00")
    quotes.make(BTC, "2024-01-01", "2024-04-01", 40_000.0)
    with binance_archive(quotes, clock) as made:
        yield made


def klines(server: Server, data: str = "klines", since: str = "2024-01-01") -> DatasetConfig:
    """Return a dataset file of zips."""
    made = feed(
        "binance_btcusdt_perp", kind="binance_archive", url=server.url, market="um", data=data,
        symbol="BTCUSDT", interval=None if data == "fundingRate" else "1h", since=since,
    )  # fmt: skip
    return made.model_copy(update={"glob": "archive/BTCUSDT-*.zip"})


def names(place: Path) -> list[str]:
    """Return the labels of the stored zips."""
    files = (place / "data" / "archive").glob("*.zip")
    return sorted(file.stem.partition("-")[2].partition("-")[2] for file in files)


def test_months_and_then_days(served: Served, tmp_path: Path) -> None:
    """A zip a month, and one a day for the month that goes on; none is fetched twice."""
    server, archive = served
    done = fetch(tmp_path, klines(server), archive.clock)
    assert (done.error, done.warnings, done.files) == (None, (), 10)
    assert names(tmp_path) == ["2024-01", *(f"2024-02-0{day}" for day in range(1, 10))]
    assert done.rows == 31 * 24 + 9 * 24
    asked = len(server.asked)
    assert fetch(tmp_path, klines(server), archive.clock).files == 0
    assert len(server.asked) == asked


def test_the_zip_of_a_month_takes_the_place_of_its_days(served: Served, tmp_path: Path) -> None:
    """Until it is published the days stand for it."""
    server, archive = served
    config = klines(server, since="2024-02-26")
    archive.clock.now = MarketClock.at("2024-03-02T13:00").now
    fetch(tmp_path, config, archive.clock)
    days = [f"2024-02-{day}" for day in range(26, 30)]
    assert names(tmp_path) == [*days, "2024-03-01"]
    archive.clock.now = MarketClock.at("2024-03-06T13:00").now
    done = fetch(tmp_path, config, archive.clock)
    assert (done.error, done.warnings) == (None, ())
    assert names(tmp_path)[:2] == ["2024-02", "2024-03-01"]


def test_a_day_that_the_month_contradicts_is_kept(served: Served, tmp_path: Path) -> None:
    """What was stored by day, and is otherwise in the month, is a revision."""
    server, archive = served
    fetch(tmp_path, klines(server), archive.clock)
    archive.quotes.revise(BTC, "2024-02-03T07:00", 9.0)
    archive.clock.now = MarketClock.at("2024-03-06T13:00").now
    (warning,) = fetch(tmp_path, klines(server), archive.clock).warnings
    assert (warning.code, "1 line of BTCUSDT-1h-2024-02-03.zip" in warning.what) == (
        "FETCH-006",
        True,
    )
    kept = tmp_path / "data" / "fetched" / "binance_btcusdt_perp" / "revisions"
    assert [file.name for file in kept.iterdir()] == ["BTCUSDT-1h-2024-02-03.zip"]
    found = read_revisions(tmp_path / "data", "binance_btcusdt_perp")
    assert found is not None
    assert found["file"].tolist() == ["BTCUSDT-1h-2024-02-03.zip"]
    assert found["column"].tolist() == ["the whole file"]


def test_a_month_that_is_published_anew_is_a_revision(served: Served, tmp_path: Path) -> None:
    """Both lines are named; the stored zip stays until a person takes the other."""
    server, archive = served
    fetch(tmp_path, klines(server), archive.clock)
    file = tmp_path / "data" / "archive" / "BTCUSDT-1h-2024-01.zip"
    before = file.read_bytes()
    archive.quotes.revise(BTC, "2024-01-03T07:00", 9.0)
    (warning,) = fetch(tmp_path, klines(server), archive.clock, verify=True).warnings
    assert (warning.code, warning.what.count("1704265200000")) == ("FETCH-006", 2)
    assert file.read_bytes() == before
    assert fetch(tmp_path, klines(server), archive.clock, accept=True).warnings == ()
    with zipfile.ZipFile(file) as taken:
        assert b",9.0," in taken.read("BTCUSDT-1h-2024-01.csv")


def test_funding_is_published_by_the_month_alone(served: Served, tmp_path: Path) -> None:
    """Days are not asked for."""
    server, archive = served
    done = fetch(tmp_path, klines(server, "fundingRate"), archive.clock)
    assert (done.error, done.files, done.rows) == (None, 1, 93)
    assert server.count("daily") == 0


def test_days_that_the_archive_lacks_are_named(served: Served, tmp_path: Path) -> None:
    """A gap of the publisher; before the first zip a symbol was not listed, which is none."""
    server, archive = served
    archive.absent = {"2024-02-03", "2024-02-04"}
    done = fetch(tmp_path, klines(server, since="2023-11-15"), archive.clock)
    (warning,) = done.warnings
    assert (warning.code, "2024-02-03, 2024-02-04" in warning.what) == ("FETCH-010", True)


@pytest.mark.parametrize("fault", [Fault(garbage=b"PK"), Fault(half=True)])
def test_a_damaged_download_is_tried_again(fault: Fault, served: Served, tmp_path: Path) -> None:
    """The checksum finds it; nothing of it is left."""
    server, archive = served
    server.fail(Fault(path=".CHECKSUM"), fault)
    done = fetch(tmp_path, klines(server), archive.clock)
    assert (done.error, done.files) == (None, 10)


def test_a_wrong_checksum_stores_nothing(served: Served, tmp_path: Path) -> None:
    """A zip that never has the hash that is published beside it."""
    server, archive = served
    wrong = b"0" * 64 + b"  BTCUSDT-1h-2024-01.zip\n"
    server.fail(Fault(garbage=wrong, path="2024-01.zip.CHECKSUM"))
    done = fetch(tmp_path, klines(server), archive.clock)
    assert done.error is not None
    assert (done.error.code, "its checksum file says 000" in done.error.what) == ("FETCH-004", True)
    assert not list(tmp_path.rglob("*.zip*"))


def test_a_zip_with_another_symbol_is_rejected(served: Served, tmp_path: Path) -> None:
    """The name of the file inside says whose rows they are."""
    server, archive = served
    archive.member = "ETHUSDT-1h-2024-01"
    done = fetch(tmp_path, klines(server), archive.clock)
    assert done.error is not None
    assert (done.error.code, "ETHUSDT-1h-2024-01.csv" in done.error.what) == ("FETCH-005", True)
    assert not list(tmp_path.rglob("*.zip*"))
