"""What every test may use."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A shared machine stalls now and then: an example is judged by its result, not by its time.
settings.register_profile("basis", deadline=None)
settings.load_profile("basis")


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    """The tree of real CSVs; the test is skipped where there is none."""
    named = os.environ.get("BASIS_REAL_DATA_DIR")
    if not named:
        pytest.skip("BASIS_REAL_DATA_DIR is not set: no real data on this machine")
    return Path(named).resolve()
