"""Which feeds' raw files have changed, and when they have stopped changing."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_pipeline.config.current import current_configs
from basis_pipeline.market.raw import read_feed
from basis_pipeline.operations.file_changes import (
    Snapshot,
    Snapshots,
    Tick,
    Watch,
    being_written,
    compare,
    take_snapshots,
)
from tests.provocations.data import bars
from tests.provocations.data import put as deliver

DATASETS = current_configs().datasets
FUNDING = "market_data/derivatives/funding_rates/{}_{}_funding_rates_2024.csv"
BYBIT, OKX = "bybit_btcusdt_funding", "okx_btcusdt_funding"
SETTLE, NOW = 30.0, 1_000_000.0
OLD, YOUNG = int((NOW - 1000) * 1e9), int((NOW - 5) * 1e9)
ABSENT = Snapshot(0, 0, "nothing")


def feed(size: int, written_ns: int = OLD, files: int = 1) -> Snapshot:
    """A feed of so many bytes."""
    return Snapshot(files, written_ns, f"{files} {size} {written_ns}")


def tick(watch: Watch, snapshots: Snapshots, now: float = NOW) -> Tick:
    """One tick; the watch goes through its text, as a cursor does."""
    return compare(Watch.from_json(watch.to_json()), snapshots, SETTLE, now)


def settled(snapshots: Snapshots) -> Watch:
    """The watch of feeds that were requested."""
    return Watch(dict(snapshots), {}, 1)


def test_the_first_time_every_feed_is_due_once_all_have_settled() -> None:
    """Feeds without files too: their absence is recorded."""
    snapshots = {BYBIT: feed(10), OKX: feed(20, YOUNG), "gas": ABSENT}
    first = tick(Watch(), snapshots)
    second = tick(first.watch, snapshots)
    assert first.due == second.due == {}
    assert second.waiting == (OKX,)
    third = tick(second.watch, snapshots, NOW + SETTLE)
    assert third.due == {BYBIT: "new", OKX: "new", "gas": "absent"}
    assert tick(third.watch, snapshots, NOW + SETTLE).due == {}


@pytest.mark.parametrize(
    ("after", "change"),
    [(feed(9), "changed"), (feed(10, OLD + 1), "changed"), (ABSENT, "gone")],
)
def test_every_change_is_due_once_it_has_settled(after: Snapshot, change: str) -> None:
    """Shorter, rewritten or gone: its feed alone is due at the second equal tick."""
    before, now = {BYBIT: feed(10), OKX: feed(20)}, {BYBIT: after, OKX: feed(20)}
    first = tick(settled(before), now)
    assert (first.due, first.waiting) == ({}, (BYBIT,))
    second = tick(first.watch, now)
    assert second.due == {BYBIT: change}
    assert second.watch == Watch(now, {}, 2)


def test_a_growing_feed_is_left_until_it_settles_and_holds_up_no_other() -> None:
    """Neither one that changed between two ticks nor one written just now is read."""
    watch = settled({BYBIT: feed(10), OKX: feed(20)})
    for size in (20, 30, 40):
        found = tick(watch, {BYBIT: feed(size), OKX: feed(20)})
        assert (found.due, found.waiting) == ({}, (BYBIT,))
        watch = found.watch
    written = {BYBIT: feed(40, YOUNG), OKX: feed(21)}
    found = tick(tick(watch, written).watch, written)
    assert (found.due, found.waiting) == ({OKX: "changed"}, (BYBIT,))
    assert tick(found.watch, written, NOW + SETTLE).due == {BYBIT: "changed"}


def test_a_state_that_comes_back_is_requested_again() -> None:
    """Good, broken, and the same good file again: three requests, three keys."""
    good, bad = {BYBIT: feed(10)}, {BYBIT: feed(3)}
    watch, keys = settled(good), []
    for snapshots in (bad, good, bad):
        found = tick(tick(watch, snapshots).watch, snapshots)
        watch = found.watch
        keys.append(found.key)
    assert len(set(keys)) == 3
    assert all(keys)


def test_a_damaged_cursor_starts_anew() -> None:
    """A damaged cursor needs no repair by hand."""
    for text in ("", "{", "[]", '{"other": 1}', '{"taken": {"a": 1}}', None):
        assert Watch.from_json(text) == Watch()


def put(data: Path, name: str, age: float = 1000.0) -> Path:
    """Write a file of one byte, so many seconds before NOW."""
    path = data / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("1")
    os.utime(path, (NOW - age, NOW - age))
    return path


def test_a_snapshot_sees_the_files_that_are_read(tmp_path: Path) -> None:
    """Links to files count; broken links, other files and absent directories do not."""
    file = put(tmp_path, FUNDING.format("bybit", "BTCUSDT"))
    (tmp_path / FUNDING.format("okx", "BTCUSDT")).symlink_to(file)
    file.with_name("bybit_BTCUSDT_funding_rates_broken.csv").symlink_to(tmp_path / "nothing")
    put(tmp_path, "elsewhere.csv")
    snapshots = take_snapshots(tmp_path, DATASETS)
    assert {name for name, found in snapshots.items() if found.files} == {BYBIT, OKX}
    assert snapshots[BYBIT].written_ns == OLD


@pytest.mark.parametrize("glob", ["**/bars_*.csv", "bars/*/2024/bars_?.csv"])
def test_feeds_in_wildcard_folders_are_watched(glob: str, tmp_path: Path) -> None:
    """The watch sees all files that the reader finds by a glob."""
    config = DATASETS["bybit_ethusdt_perp"].model_copy(update={"glob": glob})
    empty = take_snapshots(tmp_path, {"bars": config})
    place = "bars/a/2024/bars_1.csv" if glob.startswith("bars") else "a/bars_1.csv"
    deliver(tmp_path, bars(), place)
    assert read_feed(tmp_path, config).files
    snapshots = take_snapshots(tmp_path, {"bars": config})
    first = compare(settled(empty), snapshots, SETTLE, time.time() + 1000)
    second = compare(first.watch, snapshots, SETTLE, time.time() + 1000)
    assert second.due == {"bars": "new"}


def test_five_thousand_files_at_once_are_one_short_tick(tmp_path: Path) -> None:
    """What a tick stores does not grow with the files, and its work is a `stat` of each."""
    for number in range(5000):
        put(tmp_path, FUNDING.format("bybit", "BTCUSDT").replace("2024", f"{number}"))
    begun = time.process_time()
    snapshots = take_snapshots(tmp_path, DATASETS)
    found = tick(tick(settled({}), snapshots).watch, snapshots)
    assert time.process_time() - begun < 10.0
    assert snapshots[BYBIT].files == 5000
    assert found.due[BYBIT] == "new"
    assert len(found.watch.to_json()) < 10_000


def test_feeds_being_written_are_known(tmp_path: Path) -> None:
    """The nightly run leaves them to the sensor."""
    put(tmp_path, FUNDING.format("bybit", "BTCUSDT"))
    put(tmp_path, FUNDING.format("okx", "BTCUSDT"), age=3.0)
    assert being_written(take_snapshots(tmp_path, DATASETS), SETTLE, NOW) == {OKX}


HISTORIES = st.fixed_dictionaries(
    dict.fromkeys(
        (BYBIT, OKX, "gas"),
        st.one_of(
            st.just(ABSENT),
            st.builds(feed, st.integers(1, 3), st.sampled_from([OLD, OLD + 1])),
        ),
    )
)


@given(st.lists(HISTORIES, min_size=1, max_size=6))
def test_whatever_happens_the_last_state_is_read_once(history: list[Snapshots]) -> None:
    """After any history two more ticks have requested the last state; later ones do nothing."""
    watch = settled({})
    for snapshots in (*history, history[-1], history[-1]):
        watch = tick(watch, snapshots).watch
    assert watch.taken == history[-1]
    assert tick(watch, history[-1]).due == {}
