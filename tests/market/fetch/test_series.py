"""Rows of an exchange by month: what is stored, what is requested again, and failures."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from basis_pipeline.market.fetch.store import read_revisions
from basis_pipeline.market.raw import read_feed
from tests.market.fetch.clock import MarketClock, ms
from tests.market.fetch.conftest import BTC, Binance
from tests.market.fetch.feeds import LIMITS, bars, feed, fetch, settings_in
from tests.market.fetch.server import Fault

FOLDER = "market_data/derivatives/futures_ohlcv"


def stored(place: Path, name: str) -> dict[str, list[str]]:
    """Return rows of a fetched file by timestamp."""
    lines = (place / "data" / FOLDER / name).read_text().splitlines()[1:]
    return {line.partition(",")[0]: line.split(",")[1:] for line in lines}


def manifest(place: Path, name: str = "binance_btcusdt_perp") -> dict[str, Any]:
    """Return a feed's manifest."""
    document: dict[str, Any] = json.loads(
        (place / "data" / "fetched" / name / "manifest.json").read_text()
    )
    return document


def test_a_feed_is_fetched_by_month_and_read_as_any_other(binance: Binance, tmp_path: Path) -> None:
    """Every closed hour from the start on is there, with the venue's values; no other is."""
    config = bars(binance.server.url)
    done = fetch(tmp_path, config, binance.clock)
    assert (done.error, done.warnings, done.files) == (None, (), 2)
    raw = read_feed(tmp_path / "data", config)
    # The candle of 12:00 has not closed at 12:30.
    wanted = range(ms("2024-01-05"), ms("2024-02-10T12:00"), 3_600_000)
    assert (raw.distinct.timestamps // 10**6).tolist() == list(wanted)
    truth = binance.quotes.bars[BTC]
    closes = raw.distinct.values[:, list(raw.distinct.columns).index("close")]
    assert closes.tolist() == [truth[timestamp].close for timestamp in wanted]
    january, february = (
        manifest(tmp_path)["files"][f"{FOLDER}/binance_BTCUSDT_perp_1h_2024-0{month}.csv"]
        for month in (1, 2)
    )
    assert (january["complete"], february["complete"]) == (True, False)
    assert (january["rows"], january["last"]) == (27 * 24, "2024-01-31T23:00:00Z")


def test_a_complete_month_is_not_requested_again(binance: Binance, tmp_path: Path) -> None:
    """The next hour costs one request and changes one file."""
    config = bars(binance.server.url)
    fetch(tmp_path, config, binance.clock)
    file = tmp_path / "data" / FOLDER / "binance_BTCUSDT_perp_1h_2024-01.csv"
    before, asked = file.stat().st_mtime_ns, binance.server.count("klines")
    binance.clock.advance(hours=1)
    done = fetch(tmp_path, config, binance.clock)
    assert (done.rows, done.files) == (1, 1)
    assert file.stat().st_mtime_ns == before
    assert binance.server.count("klines") == asked + 1


def test_hour_by_hour_gives_what_one_fetch_gives(binance: Binance, tmp_path: Path) -> None:
    """A clock that runs through the end of a month leaves the files of a fetch after it."""
    config = bars(binance.server.url, since="2024-01-30")
    clock = MarketClock.at("2024-01-31T20:10")
    binance.clock.now = clock.now
    while clock.now.day != 2:
        fetch(tmp_path / "hourly", config, clock)
        clock.advance(hours=3)
        binance.clock.now = clock.now
    for place in ("hourly", "once"):
        fetch(tmp_path / place, config, clock)
    first, second = (
        {
            file.name: file.read_bytes()
            for file in (tmp_path / place / "data" / FOLDER).iterdir()
        }
        for place in ("hourly", "once")
    )  # fmt: skip
    assert first == second
    assert len(first) == 2


def test_since_and_until_bound_what_is_fetched(binance: Binance, tmp_path: Path) -> None:
    """A month that is cut by `until` is not complete; the next fetch asks for the rest."""
    config = bars(binance.server.url)
    until = MarketClock.at("2024-01-20T00:00").now
    fetch(tmp_path, config, binance.clock, until=until)
    name = "binance_BTCUSDT_perp_1h_2024-01.csv"
    assert max(stored(tmp_path, name)) == "2024-01-19T23:00:00Z"
    done = fetch(tmp_path, config, binance.clock, since=MarketClock.at("2024-02-05T00:00").now)
    assert min(stored(tmp_path, name.replace("01.csv", "02.csv"))) == "2024-02-01T00:00:00Z"
    assert done.files == 1
    fetch(tmp_path, config, binance.clock)
    assert max(stored(tmp_path, name)) == "2024-01-31T23:00:00Z"


def test_fetches_continue_after_existing_files(binance: Binance, tmp_path: Path) -> None:
    """Files that were not fetched stay; fetched rows begin after their last row."""
    config = bars(binance.server.url)
    folder = tmp_path / "data" / FOLDER
    folder.mkdir(parents=True)
    own = folder / "binance_BTCUSDT_perp_1h_2023-12-30_2024-01-31.csv"
    rows = [f"2024-01-31T{hour:02}:00:00Z,1e4,2e4,1e4,2e4,1,BTCUSDT" for hour in range(3)]
    own.write_text("\n".join(["timestamp,open,high,low,close,volume,symbol", *rows]) + "\n")
    before = own.read_bytes()
    assert fetch(tmp_path, config, binance.clock).error is None
    assert own.read_bytes() == before
    assert min(stored(tmp_path, "binance_BTCUSDT_perp_1h_2024-01.csv")) == "2024-01-31T03:00:00Z"


def test_a_revision_is_kept_beside_what_was_stored(binance: Binance, tmp_path: Path) -> None:
    """Both values are named, once; the stored one stays until a person accepts the other."""
    config = bars(binance.server.url)
    fetch(tmp_path, config, binance.clock)
    timestamp, name = "2024-02-10T09:00:00Z", "binance_BTCUSDT_perp_1h_2024-02.csv"
    before = stored(tmp_path, name)[timestamp]
    binance.quotes.revise(BTC, timestamp, 12345.0)
    for _ in range(2):
        binance.clock.advance(hours=1)
        done = fetch(tmp_path, config, binance.clock)
        (warning,) = done.warnings
        assert (warning.code, done.error) == ("FETCH-006", None)
        assert f"{timestamp} close {float(before[3])!r}, now 12345.0" in warning.what
    assert stored(tmp_path, name)[timestamp] == before
    table = tmp_path / "data" / "fetched" / config.name / "revisions" / name
    assert [line.split(",")[:4] for line in table.read_text().splitlines()[1:]] == [
        [timestamp, "close", before[3], "12345.0"]
    ]
    assert manifest(tmp_path)["revisions"] == {f"{FOLDER}/{name}": 1}
    found = read_revisions(tmp_path / "data", config.name)
    assert found is not None
    assert found[["file", "timestamp", "column", "state"]].to_numpy().tolist() == [
        [name, timestamp, "close", "open"]
    ]
    assert read_revisions(tmp_path / "data", "never_fetched") is None
    done = fetch(tmp_path, config, binance.clock, accept=True)
    assert (done.warnings, stored(tmp_path, name)[timestamp][3]) == ((), "12345.0")
    assert manifest(tmp_path)["revisions"] == {}
    assert table.read_text().endswith("accepted\n")


def test_verifying_finds_a_revision_of_a_complete_month(binance: Binance, tmp_path: Path) -> None:
    """Complete months are compared on demand; a value that comes back again is no revision."""
    config = bars(binance.server.url)
    fetch(tmp_path, config, binance.clock)
    truth = binance.quotes.bars[BTC][ms("2024-01-10T05:00")].close
    binance.quotes.revise(BTC, "2024-01-10T05:00", 7.0)
    assert fetch(tmp_path, config, binance.clock).warnings == ()
    (warning,) = fetch(tmp_path, config, binance.clock, verify=True).warnings
    assert (warning.code, "now 7.0" in warning.what) == ("FETCH-006", True)
    binance.quotes.revise(BTC, "2024-01-10T05:00", truth)
    assert fetch(tmp_path, config, binance.clock, verify=True).warnings == ()
    assert manifest(tmp_path)["revisions"] == {}


def test_an_outage_of_the_venue_is_named_and_filled_when_it_can_be(
    binance: Binance, tmp_path: Path
) -> None:
    """A gap is asked for again at each fetch, and is no gap once the venue has the rows."""
    config = bars(binance.server.url)
    kept = dict(binance.quotes.bars[BTC])
    binance.quotes.drop(BTC, "2024-02-06T03:00", "2024-02-06T09:00")
    for _ in range(2):
        (warning,) = fetch(tmp_path, config, binance.clock).warnings
        assert warning.code == "FETCH-010"
        assert "1 gap: 2024-02-06T03:00:00Z to 2024-02-06T08:00:00Z" in warning.what
    binance.quotes.bars[BTC] = kept
    done = fetch(tmp_path, config, binance.clock)
    assert (done.rows, done.warnings) == (6, ())


def test_a_month_with_a_gap_is_complete_after_a_week(binance: Binance, tmp_path: Path) -> None:
    """The venue has had its time; the gap stays in the manifest."""
    config = bars(binance.server.url)
    binance.quotes.drop(BTC, "2024-01-31T22:00", "2024-02-01T00:00")
    binance.clock.now = MarketClock.at("2024-02-05T00:30").now
    fetch(tmp_path, config, binance.clock)
    name = f"{FOLDER}/binance_BTCUSDT_perp_1h_2024-01.csv"
    assert not manifest(tmp_path)["files"][name]["complete"]
    binance.clock.advance(days=4)
    fetch(tmp_path, config, binance.clock)
    entry = manifest(tmp_path)["files"][name]
    assert (entry["complete"], len(entry["gaps"])) == (True, 1)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429, retry_after="0"),
        Fault(status=500),
        Fault(half=True),
        Fault(garbage=b"<html>maintenance</html>"),
        Fault(change=lambda rows: rows[::-1], path="klines"),
        Fault(change=lambda rows: rows + rows[:9], path="klines"),
        Fault(change=lambda rows: rows[:40] + rows[90:], path="klines"),
    ],
    ids=["429", "500", "half", "html", "reversed", "twice", "a part left out"],
)
def test_what_another_attempt_cures_leaves_no_trace(
    fault: Fault, binance: Binance, tmp_path: Path
) -> None:
    """The rows are those of a server without faults."""
    binance.server.fail(fault)
    done = fetch(tmp_path, bars(binance.server.url), binance.clock)
    assert (done.error, done.warnings, done.rows) == (None, (), 36 * 24 + 12)


def test_retry_after_is_waited_for(binance: Binance, tmp_path: Path) -> None:
    """A host that says when it will answer is asked then, and not before."""
    config = bars(binance.server.url, since="2024-02-10")
    binance.server.fail(Fault(status=429, retry_after="1", path="klines"))
    begun = time.monotonic()
    assert fetch(tmp_path, config, binance.clock).error is None
    assert time.monotonic() - begun > 1.0


def test_a_wait_that_is_too_long_ends_the_fetch(binance: Binance, tmp_path: Path) -> None:
    """An hour is not waited; what came before is stored."""
    binance.server.fail(Fault(status=429, retry_after="3600", path="klines"))
    begun = time.monotonic()
    done = fetch(tmp_path, bars(binance.server.url), binance.clock)
    assert done.error is not None
    assert done.error.code == "FETCH-002"
    assert done.error.what.endswith("after 1 attempt")
    assert time.monotonic() - begun < 5.0


@pytest.mark.parametrize("fault", [Fault(hang=True), Fault(trickle=True, path="klines")])
def test_an_answer_that_never_ends_times_out(
    fault: Fault, binance: Binance, tmp_path: Path
) -> None:
    """Also one that arrives byte by byte, which no socket timeout ends."""
    limits = LIMITS.model_copy(update={"timeout_seconds": 0.2, "attempts": 2})
    config = bars(binance.server.url, since="2024-02-09")
    binance.server.fail(fault, times=2)
    begun = time.monotonic()
    done = fetch(tmp_path, config, binance.clock, limits)
    assert done.error is not None
    assert done.error.code == "FETCH-002"
    assert time.monotonic() - begun < 8.0


def test_an_outage_in_the_middle_keeps_what_came_before(binance: Binance, tmp_path: Path) -> None:
    """The next fetch asks for the rest, and the file is as if nothing had happened."""
    config = bars(binance.server.url)

    def goes_down(rows: Any) -> Any:
        binance.server.fail(Fault(status=503), times=LIMITS.attempts)
        return rows

    binance.server.fail(Fault(change=goes_down, path="klines"))
    done = fetch(tmp_path, config, binance.clock)
    assert done.error is not None
    assert (done.error.code, done.rows) == ("FETCH-002", 500)
    name = "binance_BTCUSDT_perp_1h_2024-01.csv"
    assert len(stored(tmp_path, name)) == 500
    again = fetch(tmp_path, config, binance.clock)
    assert (again.error, again.rows) == (None, 36 * 24 + 12 - 500)


def test_one_feed_that_fails_stops_no_other(binance: Binance, tmp_path: Path) -> None:
    """Each has its own end."""
    from basis_pipeline.market.fetch.feed import Request, fetch_feeds

    url = binance.server.url
    own = {"name": "wrong", "glob": "wrong/*.csv"}
    wrong = bars(url, symbol="XYZ/USDT:USDT").model_copy(update=own)
    source = bars(url, data="funding").source
    assert source is not None
    funding = feed("binance_btcusdt_funding", **source.model_dump())
    configs = [wrong, bars(url), funding]
    request = Request(now=binance.clock.now)
    done = fetch_feeds(configs, settings_in(tmp_path), LIMITS, request)
    codes = {name: one.error.code if one.error else "" for name, one in done.items()}
    assert codes == {
        "binance_btcusdt_funding": "",
        "binance_btcusdt_perp": "",
        "wrong": "FETCH-003",
    }
    assert done["binance_btcusdt_funding"].rows == 36 * 3 + 2


def test_an_edited_file_is_not_added_to(binance: Binance, tmp_path: Path) -> None:
    """A complete month that somebody changed is named, and left as it is."""
    config = bars(binance.server.url)
    fetch(tmp_path, config, binance.clock)
    file = tmp_path / "data" / FOLDER / "binance_BTCUSDT_perp_1h_2024-01.csv"
    file.write_text(file.read_text().replace("BTCUSDT", "ETHUSDT", 1))
    done = fetch(tmp_path, config, binance.clock, verify=True)
    assert done.error is not None
    assert (done.error.code, file.name in done.error.what) == ("FETCH-012", True)


def _fetch_in_a_process(place: Path, url: str, clock: MarketClock) -> None:
    os.setsid()
    fetch(place, bars(url), clock)


def test_a_kill_at_any_moment_leaves_whole_files(
    binance: Binance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored files are readable as a feed, and fetching again completes them."""
    monkeypatch.undo()  # with its rate limit a fetch takes long enough to be killed in
    config = bars(binance.server.url)
    fork = multiprocessing.get_context("fork")
    for delay in (0.3, 0.6, 0.9):
        arguments = (tmp_path, binance.server.url, binance.clock)
        child = fork.Process(target=_fetch_in_a_process, args=arguments)
        child.start()
        time.sleep(delay)
        if child.is_alive() and child.pid:
            os.kill(child.pid, signal.SIGKILL)
        child.join()
        if list((tmp_path / "data" / FOLDER).glob("*.csv")):
            read_feed(tmp_path / "data", config)
    assert fetch(tmp_path, config, binance.clock).error is None
    assert len(read_feed(tmp_path / "data", config).frame) == 36 * 24 + 12
