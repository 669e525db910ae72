"""What runs differ in: all of it, and nothing that is the same."""

from dataclasses import replace

from basis_pipeline.results.differences import ABSENT, differences
from tests.results.made_run import make_run


def test_equal_runs_do_not_differ() -> None:
    """The same run beside itself leaves no row."""
    assert differences([make_run(), make_run()]).empty


def test_every_part_that_differs_is_told() -> None:
    """A key, a dataset, the capital and the engine each have their row, by their own names."""
    one = replace(make_run(), config={"mode": {"hedge": {"ratio": 1.0}, "flows": []}})
    data = {**one.identity.data_hashes, "more": "f" * 64}
    identity = replace(one.identity, data_hashes=data, capital=5.0, engine_version="other")
    other = replace(one, identity=identity, config={"mode": {"hedge": {"ratio": 0.5}, "flows": []}})
    found = differences([one, other])
    assert list(found.columns) == [one.run_id, other.run_id]
    assert set(found.index) == {
        ("configuration", "hedge.ratio"),
        ("data", "more"),
        ("capital", "capital"),
        ("code", "engine"),
    }
    assert list(found.loc[("configuration", "hedge.ratio")]) == [1.0, 0.5]
    assert list(found.loc[("data", "more")]) == [ABSENT, "f" * 12]
