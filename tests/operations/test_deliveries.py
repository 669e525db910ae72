"""What changes in the tree of raw files, and when it has stopped changing."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_pipeline.operations.deliveries import Look, Tree, Watch, look, scan, still_growing
from basis_pipeline.orchestration.resources import current_configs

DATASETS = current_configs().datasets
GLOBS = [config.glob for config in DATASETS.values()]
FUNDING = "market_data/derivatives/funding_rates/{}_{}_funding_rates_2024.csv"
BYBIT, OKX = FUNDING.format("bybit", "BTCUSDT"), FUNDING.format("okx", "BTCUSDT")
SETTLE, NOW = 30.0, 1_000_000.0
OLD, YOUNG = int((NOW - 1000) * 1e9), int((NOW - 5) * 1e9)


def looked(watch: Watch, tree: Tree, now: float = NOW) -> Look:
    """One look; the watch goes through its text, as a cursor does."""
    return look(Watch.from_json(watch.as_json()), tree, DATASETS, SETTLE, now)


def settled(tree: Tree) -> Watch:
    """The watch of a tree that was asked for."""
    return Watch(dict(tree), {}, 1)


def test_an_unchanged_tree_asks_for_nothing() -> None:
    """Nothing is due, and the watch is the same one: nothing has to be kept."""
    tree = {BYBIT: [OLD, 10], OKX: [OLD, 20]}
    watch = settled(tree)
    found = look(watch, tree, DATASETS, SETTLE, NOW)
    assert (found.due, found.waiting) == ((), ())
    assert found.watch is watch


def test_the_first_time_every_family_is_due_once_all_has_settled() -> None:
    """Families without a file too: that they are absent is to be recorded."""
    tree = {BYBIT: [OLD, 10], OKX: [YOUNG, 20]}
    first = looked(Watch(), tree)
    second = looked(first.watch, tree)
    assert first.due == second.due == ()
    assert second.waiting == (OKX,)
    third = looked(second.watch, tree, NOW + SETTLE)
    assert third.due == tuple(sorted(DATASETS))
    assert looked(third.watch, tree, NOW + SETTLE).due == ()


@pytest.mark.parametrize(
    ("after", "became"),
    [([OLD, 11], "longer"), ([OLD, 9], "shorter"), ([OLD + 1, 10], "rewritten"), (None, "gone")],
)
def test_every_change_is_a_delivery_once_it_stands_still(
    after: list[int] | None, became: str
) -> None:
    """Longer, shorter, rewritten or gone: its family alone is due at the second equal look."""
    before = {BYBIT: [OLD, 10], OKX: [OLD, 20]}
    tree = {OKX: [OLD, 20]} | ({BYBIT: after} if after else {})
    first = looked(settled(before), tree)
    assert (first.due, first.waiting) == ((), (BYBIT,))
    second = looked(first.watch, tree)
    assert second.due == ("bybit_btcusdt_funding",)
    assert second.files == {BYBIT: became}
    assert second.watch == Watch(tree, {}, 2)


def test_a_growing_file_is_left_until_it_stands_still() -> None:
    """Neither a file that changed between two looks nor one written just now is read."""
    watch = settled({BYBIT: [OLD, 10]})
    for size in (20, 30, 40):
        found = looked(watch, {BYBIT: [OLD, size]})
        assert found.due == ()
        watch = found.watch
    written = {BYBIT: [YOUNG, 40]}
    for _ in range(3):
        found = looked(watch, written)
        assert found.due == ()
        watch = found.watch
    assert looked(watch, written, NOW + SETTLE).due == ("bybit_btcusdt_funding",)


def test_a_growing_family_does_not_hold_up_another() -> None:
    """What stands still is read while something else is still being written."""
    tree = {BYBIT: [OLD, 11], OKX: [YOUNG, 21]}
    first = looked(settled({BYBIT: [OLD, 10], OKX: [OLD, 20]}), tree)
    second = looked(first.watch, tree)
    assert second.due == ("bybit_btcusdt_funding",)
    assert second.waiting == (OKX,)
    third = looked(second.watch, tree, NOW + SETTLE)
    assert third.due == ("okx_btcusdt_funding",)


def test_all_files_of_a_family_are_waited_for() -> None:
    """A family of two files is read when both stand still."""
    beside = BYBIT.replace("2024", "2025")
    first = looked(settled({BYBIT: [OLD, 10]}), {BYBIT: [OLD, 11], beside: [YOUNG, 5]})
    second = looked(first.watch, {BYBIT: [OLD, 11], beside: [YOUNG, 5]})
    assert second.due == ()
    third = looked(second.watch, {BYBIT: [OLD, 11], beside: [YOUNG, 5]}, NOW + SETTLE)
    assert third.due == ("bybit_btcusdt_funding",)


def test_a_state_that_comes_back_is_asked_for_again() -> None:
    """Good, broken, and the same good file again: three requests, three keys."""
    good, bad = {BYBIT: [OLD, 10]}, {BYBIT: [OLD, 3]}
    watch, keys = settled(good), []
    for tree in (bad, good, bad):
        watch = looked(watch, tree).watch
        found = looked(watch, tree)
        watch = found.watch
        keys.append(found.key)
    assert len(set(keys)) == 3
    assert all(keys)


def test_the_same_look_gives_the_same_key() -> None:
    """A tick that is made again after a crash asks for the same run."""
    watch = Watch({BYBIT: [OLD, 10]}, {BYBIT: [OLD, 11]}, 4)
    assert looked(watch, {BYBIT: [OLD, 11]}).key == looked(watch, {BYBIT: [OLD, 11]}).key


def test_a_time_in_the_future_does_not_stop_a_delivery() -> None:
    """A clock that goes wrong elsewhere costs a second look, not the file."""
    tree = {BYBIT: [int((NOW + 1e6) * 1e9), 11]}
    first = looked(settled({BYBIT: [OLD, 10]}), tree)
    assert looked(first.watch, tree).due == ("bybit_btcusdt_funding",)


def test_a_stray_file_is_remembered_and_asks_for_nothing() -> None:
    """A file of no family costs one look."""
    stray = "market_data/derivatives/funding_rates/README.txt"
    first = looked(settled({}), {stray: [OLD, 1]})
    assert first.due == ()
    assert first.watch == settled({stray: [OLD, 1]})


def test_a_damaged_cursor_starts_anew() -> None:
    """Nobody has to mend a cursor by hand."""
    for text in ("", "{", "[]", '{"other": 1}', None):
        assert Watch.from_json(text) == Watch()


def test_scan_sees_what_families_read(tmp_path: Path) -> None:
    """Files of the families' directories, links to files, and no directory that is absent."""
    file = tmp_path / BYBIT
    file.parent.mkdir(parents=True)
    file.write_text("12345")
    (tmp_path / OKX).symlink_to(file)
    (tmp_path / OKX).with_name("broken").symlink_to(tmp_path / "nothing")
    (tmp_path / "elsewhere.csv").write_text("1")
    tree = scan(tmp_path, GLOBS)
    assert set(tree) == {BYBIT, OKX}
    assert tree[BYBIT] == [file.stat().st_mtime_ns, 5]


def test_families_being_delivered_are_known(tmp_path: Path) -> None:
    """The nightly run leaves them to their sensor."""
    for name, age in ((BYBIT, 1000.0), (OKX, 3.0)):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("1")
        os.utime(file, (NOW - age, NOW - age))
    tree = scan(tmp_path, GLOBS)
    assert still_growing(tree, DATASETS, SETTLE, NOW) == {"okx_btcusdt_funding"}


TREES = st.dictionaries(
    st.sampled_from([BYBIT, OKX, FUNDING.format("binance", "ETHUSDT")]),
    st.tuples(st.sampled_from([OLD, OLD + 1]), st.integers(0, 2)).map(list),
)


@given(st.lists(TREES, min_size=1, max_size=6))
def test_whatever_happens_the_last_state_is_read_once(trees: list[Tree]) -> None:
    """After any history two more looks at a still tree have asked for it, and then it is quiet."""
    watch = settled({})
    for tree in (*trees, trees[-1], trees[-1]):
        watch = looked(watch, tree).watch
    assert watch.taken == trees[-1]
    assert looked(watch, trees[-1]).due == ()
