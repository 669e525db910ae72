"""One generated and one real data tree for all tests of runs."""

from pathlib import Path

import pytest

from basis_pipeline.market.sample import write_sample
from tests.backtests.trees import Tree, windows


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Write a sample of 120 days: every feed, its crises and its marked defects."""
    root = tmp_path_factory.mktemp("sample") / "data"
    write_sample(root, days=120)
    return Tree(
        root,
        windows(
            ("2024-01-02", "2024-04-29"),
            ("2024-02-10", "2024-03-20"),
            ("2024-01-05T07:00", "2024-04-20T22:00"),
        ),
    )


@pytest.fixture(scope="session")
def real(real_data_dir: Path) -> Tree:
    """Return the tree of the real CSVs."""
    return Tree(
        real_data_dir,
        windows(
            ("2024-05-13", "2025-03-01"),
            ("2024-09-15", "2024-12-01"),
            ("2024-07-03T05:00", "2025-01-17T19:00"),
        ),
    )


@pytest.fixture(params=["sample", "real"])
def tree(request: pytest.FixtureRequest) -> Tree:
    """Return each of the two trees in turn."""
    found: Tree = request.getfixturevalue(request.param)
    return found
