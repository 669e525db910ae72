"""Settings of a place of its own, on each of the two databases."""

from pathlib import Path

import pytest

from basis_pipeline.settings import Settings, load_settings


def settings_at(place: Path, url: str = "") -> Settings:
    """Settings whose results lie in `place`, with a database of their own where one is named."""
    # As a person names it: the driver is ours to choose.
    environ = {"BASIS_RESULTS_DB_URL": url.replace("+psycopg2", "")} if url else {}
    return load_settings(environ, results_dir=place / "results", data_dir=place / "data")


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Where nothing ever ran."""
    return settings_at(tmp_path, database_url)
