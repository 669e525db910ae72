"""A service on results of its own, with one backtest that somebody has asked for."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from basis_pipeline.config.current import current_configs
from basis_pipeline.operations.requests import BacktestRequest, submit
from basis_pipeline.operations.requests.serving import serve
from basis_pipeline.service.app import create_app
from basis_pipeline.service.context import Context
from basis_pipeline.settings import Settings, load_settings

HERE = ("127.0.0.1", 50000)


def environment(results: Path, sample: Path) -> dict[str, str]:
    """Return the environment variables of a place."""
    return {
        "BASIS_DATA_DIR": str(sample),
        "BASIS_RESULTS_DIR": str(results),
        "BASIS_RESULTS_DB_URL": "sqlite:///${BASIS_RESULTS_DIR}/runs.sqlite",
        "BASIS_DATA_START_DATE": "2024-01-03",
        "BASIS_DATA_END_DATE": "2024-02-20",
    }


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Iterator[Settings]:
    """Yield the settings of the process, with the results of the request `done`."""
    results = tmp_path_factory.mktemp("service") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME", raising=False)
        for name, value in environment(results, sample).items():
            patch.setenv(name, value)
        made = load_settings()
        done = BacktestRequest(request_id="done", mode="pure_lending")
        serve(made, current_configs(), [submit(made, done).sequence])
        yield made


@contextmanager
def called(
    settings: Settings, client: tuple[str, int] = HERE
) -> Iterator[tuple[TestClient, Context]]:
    """Yield a client of a running service; `client` is the address it calls from."""
    app, context = create_app(settings)
    with TestClient(app, "http://127.0.0.1:8000", client=client) as made:
        yield made, context


@pytest.fixture(scope="module")
def api(settings: Settings) -> Iterator[TestClient]:
    """Yield a client on this machine."""
    with called(settings) as (made, _):
        yield made


def places(settings: Settings) -> list[str]:
    """Return the directories that no answer may name."""
    return [str(settings.results_dir), str(settings.data_dir), os.getcwd()]  # noqa: PTH109
