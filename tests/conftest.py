"""What every test may use."""

import gzip
import os
import signal
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import Engine

from basis_pipeline.market.sample import write_sample
from basis_pipeline.results.database.connection import connect
from basis_pipeline.results.database.migration import migrate
from tests import postgres
from tests.planted import SECRETS

# A script that starts the tests in the background lets them ignore Ctrl-C, and with them every
# process that they start: those are to be interrupted as a person's would.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# A shared machine stalls now and then: an example is judged by its result, not by its time.
settings.register_profile("basis", deadline=None)
settings.load_profile("basis")


# Fixtures that take longest to make: one worker makes each, for all tests that ask for it.
COSTLY = {
    **{name: name for name in ("outcome", "first_night", "sample_runs")},
    **dict.fromkeys(("tree", "real"), "trees"),
}
# What takes longest is begun first: at the end a worker would be alone with it.
LONGEST = ("tests/test_documents.py", "tests/orchestration/test_two_days.py", "outcome", "trees")
LONGEST += ("first_night", "tests/commands/test_interrupts.py", "sample_runs")
LONGEST += ("tests/test_cli.py", "tests/test_cli_scenarios.py")
LONGEST += ("tests/orchestration/test_accounts.py", "tests/test_own_project.py")


# First: the plugin that spreads tests over workers reads the marks in the same hook.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests of one costly fixture on one worker, and else the tests of one file."""

    def group(item: pytest.Item) -> str:
        asked = [COSTLY[name] for name in COSTLY if name in getattr(item, "fixturenames", ())]
        return asked[0] if asked else item.location[0]

    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(group(item), len(rank)))


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    """The tree of real CSVs; the test is skipped where there is none."""
    named = os.environ.get("BASIS_REAL_DATA_DIR")
    if not named:
        pytest.skip("BASIS_REAL_DATA_DIR is not set: no real data on this machine")
    return Path(named).resolve()


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty days of every feed, as they would be delivered; read it, do not write to it."""
    directory = tmp_path_factory.mktemp("sample") / "data"
    write_sample(directory, days=60)
    return directory


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server for the session; on a machine without one only CI insists."""
    if not os.environ.get(postgres.VARIABLE) and not postgres.binaries():
        result = f"no PostgreSQL server: install one, or name one in {postgres.VARIABLE}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(result)
    with postgres.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a new database on each of the two backends, gone after the test."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/database/runs.sqlite"
        return
    with postgres.database(request.getfixturevalue("postgres_url")) as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Engine:
    """A new database, brought up to date."""
    opened = connect(database_url)
    migrate(opened)
    return opened


LOGS = {".jsonl", ".log", ".out", ".err", ".db", ".gz"}
NO_LOG = "runs.db"  # Dagster's record of what a run was asked for, as it was asked


@pytest.fixture(scope="session", autouse=True)
def no_log_holds_a_secret(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever the suite made the project write: no planted secret is in any log of it."""
    os.environ["AWS_SECRET_ACCESS_KEY"] = SECRETS[0]
    yield
    result = [
        f"{file}: {secret}"
        for file in tmp_path_factory.getbasetemp().rglob("*")
        if file.suffix in LOGS and file.name != NO_LOG and file.is_file()
        for secret in SECRETS
        if secret.encode() in _content(file)
    ]
    assert not result


def _content(file: Path) -> bytes:
    try:
        return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error):  # what a test broke on purpose
        return b""
