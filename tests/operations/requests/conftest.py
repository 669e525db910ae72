"""A place whose environment is that of the process."""

from pathlib import Path

import pytest

from basis_pipeline.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Results of its own, and the sample's data."""
    for name, value in {
        "DATA_DIR": sample,
        "RESULTS_DIR": tmp_path / "results",
        "RESULTS_DB_URL": "sqlite:///${BASIS_RESULTS_DIR}/runs.sqlite",
        "DATA_START_DATE": "2024-01-03",
        "DATA_END_DATE": "2024-02-20",
    }.items():
        monkeypatch.setenv(f"BASIS_{name}", str(value))
    return load_settings()
