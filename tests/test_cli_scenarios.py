"""Sweeps, stress, bootstrapped paths and walk-forward as a person calls them, on real files."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from basis_pipeline.market.sample import write_sample
from basis_pipeline.settings import project_root
from tests import shell

SPAN = ("--start", "2024-01-03", "--end", "2024-05-20")


def arguments(place: Path, *options: str | Path) -> list[str]:
    """A command over the sample, its results in a directory of its own."""
    places = ["--data-dir", place / "data", "--results-dir", place / "results"]
    return [*map(str, (*options, *places)), *SPAN]


def basis(place: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return shell.call(*arguments(place, *options))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a year of sample data, and room for results."""
    directory = tmp_path_factory.mktemp("scenarios")
    write_sample(directory / "data", days=150)
    return directory


def set_file(place: Path, **parts: object) -> Path:
    """The file of a scenario set."""
    content = {"name": "own", "description": "a test's", "sampling": {"method": "grid"}, **parts}
    (place / "own.yaml").write_text(yaml.safe_dump(content))
    return place / "own.yaml"


def test_stress_holds_the_worst_to_the_stated_limits(place: Path, tmp_path: Path) -> None:
    """Exit 0 within them, 1 outside; either way the rows are kept and the worst are shown."""
    markets = {"crash": [{"shock": "price_gap", "at": 240, "size": -0.3}], "calm": []}
    limits = dict.fromkeys(
        ("max_liquidations", "max_drawdown", "min_health_factor", "min_margin_ratio")
    )
    kept = set_file(tmp_path, markets=markets, limits={**limits, "max_drawdown": 0.5})
    done = basis(place, "stress", "eth_basis", "--scenarios", kept)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "crash" in done.stdout
    assert "Inputs with warnings: " in done.stdout
    broken = set_file(tmp_path, markets=markets, limits={**limits, "max_drawdown": 1e-9})
    done = basis(place, "stress", "eth_basis", "--scenarios", broken)
    assert done.returncode == 1
    assert "FAIL" in done.stdout
    swept = place / "results" / "stress" / "eth_basis"
    assert len(list(swept.rglob("points-*"))) == 2
    for page in swept.rglob("report.html"):
        sheets = set(re.findall(r'<a href="(sheet-\d+\.html)">', page.read_text("utf-8")))
        assert len(sheets) == 2
        assert all("Attribution" in (page.parent / sheet).read_text("utf-8") for sheet in sheets)


def test_walk_forward_shows_its_choices_and_gates(place: Path) -> None:
    """Ninety days of train and thirty of test in four and a half months: one fold."""
    done = basis(place, "walk-forward", "pure_lending")
    assert done.returncode in (0, 1), done.stderr
    assert "2024-04-02" in done.stdout  # where the test begins
    assert "overfitting_probability" in done.stdout
    (summary,) = (place / "results" / "walk_forward").rglob("walk_forward.json")
    result = json.loads(summary.read_text())
    assert result["points"] == 30
    assert result["folds"] == len(pd.read_parquet(summary.parent / "folds.parquet")) == 1


def test_montecarlo_draws_paths(place: Path, tmp_path: Path) -> None:
    """One row per path, all of them different."""
    drawn = set_file(tmp_path, bootstrap={"paths": 12, "mean_block_hours": 72, "seed": 1})
    done = basis(place, "montecarlo", "btc_basis", "--scenarios", drawn)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = (place / "results" / "montecarlo").rglob("points-*")
    assert pd.read_parquet(file)["final_equity"].nunique() == 12


def living_in(group: int) -> list[psutil.Process]:
    """Processes of a group that are still running."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):  # it ended meanwhile
            if process.status() != psutil.STATUS_ZOMBIE and group == os.getpgid(process.pid):
                found.append(process)
    return found


def test_an_interrupted_sweep_on_workers_leaves_no_process_and_goes_on(
    place: Path, tmp_path: Path
) -> None:
    """Ctrl-C reaches every process of the group, as in a terminal; the same command continues."""
    keys = {"hedge.ratio": {"low": 0.9, "high": 1.0}, "allocation.spot": {"low": 0.4, "high": 0.6}}
    sampling = {"method": "sobol", "points": 20_000, "seed": 1}
    large = set_file(tmp_path, sampling=sampling, keys=keys)
    workers = ("--workers", "2", "--out", tmp_path / "o")
    command = arguments(place, "sweep", "btc_basis", "--scenarios", large, *workers)
    command[-1] = "2024-02-10"
    running = subprocess.Popen(
        [sys.executable, "-m", "basis_pipeline", *command],
        env=shell.clean(),
        cwd=project_root(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 200.0
    while not list((tmp_path / "o").rglob("points-*")):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(running.pid, signal.SIGINT)
    _, result = running.communicate(timeout=60)
    assert running.returncode == 130, result
    assert "the same command continues" in result
    assert "Traceback" not in result
    assert not psutil.wait_procs(living_in(running.pid), timeout=30)[1]
    kept = len(list((tmp_path / "o").rglob("points-*")))
    assert 1 <= kept < 5
    alone = [word for word in command if word not in workers[:2]]  # starting two takes longest
    done = shell.call(*alone)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "o").rglob("points-*"))) == 5


def test_replays_outside_of_the_window_are_named_and_alone_rejected(
    place: Path, tmp_path: Path
) -> None:
    """With others they are left out; without others nothing would run."""
    some = basis(place, "stress", "btc_basis", "--set-name", "replays")
    assert some.returncode == 0, some.stderr
    assert "left out: " in " ".join(some.stdout.split())
    later = set_file(tmp_path, windows={"later": {"start": "2030-01-01", "end": "2030-02-01"}})
    alone = basis(place, "stress", "btc_basis", "--scenarios", later)
    assert (alone.returncode, alone.stdout) == (2, "")
    assert alone.stderr.startswith("CONFIG-011: no replay lies in ")
