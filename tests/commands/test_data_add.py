"""`basis data add` and `basis data try` as a person types them."""

import gzip
import shutil
from pathlib import Path

import pytest

from basis_pipeline.config import load_configs
from basis_pipeline.config.universe import Kind
from tests import shell
from tests.config.trees import COMMITTED

FUNDING = "funding_timestamp,funding_rate,symbol\n" + "".join(
    f"2024-01-{day:02d} {hour:02d}:00:00 UTC,0.0001,SOLUSDT\n"
    for day in range(1, 31)
    for hour in (0, 8, 16)
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A configuration of one's own, and a file below the data directory."""
    shutil.copytree(COMMITTED, tmp_path / "configs")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sol_2024-01.csv.gz").write_bytes(gzip.compress(FUNDING.encode()))
    return tmp_path


def basis(place: Path, *words: str) -> tuple[int, str]:
    """Run one command; return its exit code and output."""
    env = shell.clean() | {
        "BASIS_CONFIG_DIR": str(place / "configs"),
        "BASIS_DATA_DIR": str(place / "data"),
        "BASIS_RESULTS_DIR": str(place / "results"),
    }
    done = shell.run("basis_pipeline", "data", *words, env=env, cwd=place)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_a_file_becomes_a_dataset_when_everything_is_known(place: Path) -> None:
    """What is missing is named first; then the file is written, once."""
    file = "data/sol_2024-01.csv.gz"
    code, said = basis(place, "add", file)
    assert (code, "also give --venue" in said) == (2, True)
    code, said = basis(place, "add", file, "--venue", "kraken")
    assert code == 0, said
    assert "90 times, 8 h apart, 0 gaps" in said
    assert "2024-01-01 16:00 │ 0.0001" in said
    configs = load_configs(place / "configs")
    dataset = configs.find(Kind.FUNDING, venue="kraken", base="SOL", quote="USDT")
    assert (dataset.name, dataset.glob) == ("kraken_solusdt_funding", "sol_*.csv.gz")
    assert dataset.identity == {"symbol": "SOLUSDT"}
    code, said = basis(place, "add", file, "--venue", "kraken")
    assert (code, "already a dataset of this" in said) == (2, True)


def test_trying_writes_nothing(place: Path) -> None:
    """It shows the dataset's file, wherever the data lie."""
    before = sorted(path for path in place.rglob("*") if path.is_file())
    elsewhere = place / "elsewhere.csv"
    elsewhere.write_text(FUNDING)
    code, said = basis(place, "try", str(elsewhere), "--venue", "kraken")
    assert code == 0, said
    assert "name: kraken_solusdt_funding" in said
    after = sorted(path for path in place.rglob("*") if path.is_file())
    assert set(after) == {*before, elsewhere}
    code, said = basis(place, "add", str(elsewhere), "--venue", "kraken")
    assert code == 2
    assert "the file is not in the data directory" in said
