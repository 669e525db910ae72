"""The store: complete or absent, never changed, always checked."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.store import (
    STALE_SECONDS,
    RunIdentity,
    read_run,
    read_verdicts,
    summary_hash,
    verify_run,
    write_run,
    write_verdicts,
)
from basis_pipeline.verdict import Status, Verdict
from tests.results.made_run import make_run

# Writes the pickled run over and over until it is killed.
WRITER = """
import pickle, shutil, sys
from pathlib import Path
from basis_pipeline.results.store import write_run
run = pickle.loads(Path(sys.argv[1]).read_bytes())
target = Path(sys.argv[2])
print("ready", flush=True)
while True:
    write_run(run, target)
    target.rename(target.with_name("previous"))
    shutil.rmtree(target.with_name("previous"))
"""


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_a_run_is_read_back_and_has_the_same_bytes_anywhere(tmp_path: Path) -> None:
    """Exactly the documented files; nothing depends on place or time."""
    run = make_run()
    again = read_run(write_run(run, tmp_path / "a" / "run"))
    assert (again.run_id, again.mode, again.identity) == (run.run_id, run.mode, run.identity)
    assert (again.config, again.summary) == (run.config, run.summary)
    assert list(again.frames) == list(run.frames)
    for table, frame in run.frames.items():
        pd.testing.assert_frame_equal(again.frames[table], frame, check_dtype=False)
    files = contents(tmp_path / "a" / "run")
    assert {"summary.json", "config.json"} | {f"{t}.parquet" for t in run.frames} == set(files)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["run"]
    time.sleep(0.01)
    assert contents(write_run(make_run(), tmp_path / "deep" / "b")) == files


def test_running_again_replaces_nothing(tmp_path: Path) -> None:
    """The second write of a run changes no file; other tables under its name are an error."""
    directory = write_run(make_run(), tmp_path / "run")

    def files() -> dict[str, tuple[int, int]]:
        stats = {path.name: path.stat() for path in directory.iterdir()}
        return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}

    before = files()
    write_run(make_run(), directory)
    with pytest.raises(ResultsError, match="RS-003"):
        write_run(make_run(seed=2), directory)
    assert files() == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_another_run_replaces_the_directory_whole(tmp_path: Path) -> None:
    """Nothing of the old run remains; later figures over the same tables are written too."""
    first, second = make_run(), make_run(seed=2, config_hash="f" * 64)
    del second.frames["benchmark"]
    write_run(first, tmp_path / "run")
    write_run(second, tmp_path / "run")
    assert read_run(tmp_path / "run").run_id == second.run_id
    assert "benchmark.parquet" not in contents(tmp_path / "run")
    write_run(replace(second, summary={**second.summary, "omega": 1.2}), tmp_path / "run")
    assert read_run(tmp_path / "run").summary["omega"] == 1.2
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_verdicts_are_stored_beside_a_run_and_renewed(tmp_path: Path) -> None:
    """They are read back unchanged, and no byte of the run depends on them."""
    given = Verdict(
        check="health_factor",
        severity="ERROR",
        status=Status.FAIL,
        measured=0.99,
        limit=1.02,
        evidence={"where": "2024-06-01"},
        rows=({"hour": 1},),
        evaluated_at=datetime(2025, 1, 1, tzinfo=UTC),
    )
    directory = write_run(make_run(), tmp_path / "run", [given])
    assert read_verdicts(directory) == [given]
    recorded = summary_hash(directory)
    passed = given.at(status=Status.PASS)
    for again in ([passed], None):
        write_run(make_run(), directory, again)
        assert read_verdicts(directory) == [passed]
    write_verdicts(directory, [given, passed])
    assert read_verdicts(directory) == [given, passed]
    verify_run(directory, recorded)
    (directory / "verdicts.json").write_text("[{}]")
    with pytest.raises(ResultsError, match=r"RS-003.*verdicts\.json"):
        read_verdicts(directory)
    assert read_verdicts(write_run(make_run(capital=2.0), directory)) == []


@pytest.mark.parametrize("file", ["equity.parquet", "config.json"])
def test_damage_is_found_and_fixed_by_running_again(file: str, tmp_path: Path) -> None:
    """A flipped byte or a lost file is RS-003 with its name, until the run is written anew."""
    directory = write_run(make_run(), tmp_path / "run")
    intact = contents(directory)
    damaged = bytearray(intact[file])
    damaged[len(damaged) // 2] ^= 1
    (directory / file).write_bytes(damaged)
    for read in (verify_run, read_run):
        with pytest.raises(ResultsError, match=rf"RS-003.*{file}"):
            read(directory)
    (directory / file).unlink()
    with pytest.raises(ResultsError, match=rf"RS-003.*{file} is missing"):
        verify_run(directory)
    write_run(make_run(), directory)
    assert contents(directory) == intact


def test_a_changed_summary_is_found_by_its_own_hash(tmp_path: Path) -> None:
    """It is written anew by running again, unless something foreign lies beside it."""
    directory = write_run(make_run(), tmp_path / "run")
    recorded, intact = summary_hash(directory), contents(directory)
    verify_run(directory, recorded)
    summary = json.loads((directory / "summary.json").read_bytes())
    (directory / "summary.json").write_text(json.dumps({**summary, "apy": 9.99}))
    with pytest.raises(ResultsError, match=r"RS-003.*summary\.json"):
        verify_run(directory, recorded)
    for text in ("{", "[]", "{}"):
        (directory / "summary.json").write_text(text)
        with pytest.raises(ResultsError, match=r"RS-003.*summary\.json"):
            read_run(directory)
    write_run(make_run(), directory)
    assert contents(directory) == intact
    (directory / "summary.json").write_text("{")
    (directory / "thesis.txt").write_text("years of work")
    with pytest.raises(ResultsError, match="RS-001"):
        write_run(make_run(), directory)
    assert (directory / "thesis.txt").exists()


def test_foreign_files_are_never_deleted(tmp_path: Path) -> None:
    """A directory that holds something else, or a file in the way, is RS-001 and stays."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("in the way")
    before = contents(tmp_path)
    for target in ("notes", "file", "file/run"):
        with pytest.raises(ResultsError, match="RS-001"):
            write_run(make_run(), tmp_path / target)
    assert contents(tmp_path) == before
    (tmp_path / "empty").mkdir()
    verify_run(write_run(make_run(), tmp_path / "empty"))
    with pytest.raises(ResultsError, match=r"RS-002.*available: empty"):
        read_run(tmp_path / "there")


def test_a_failing_write_leaves_nothing(tmp_path: Path) -> None:
    """A run that cannot be encoded leaves the old run and no trace of its own."""
    write_run(make_run(), tmp_path / "run")
    before = contents(tmp_path)
    lacking, clashing = make_run(config_hash="f" * 64), make_run(config_hash="f" * 64)
    del lacking.frames["risk"]
    clashing.summary["mode"] = "another"
    for wrong, named in ((lacking, "risk"), (clashing, "mode")):
        with pytest.raises(ResultsError, match=rf"RS-004.*{named}"):
            write_run(wrong, tmp_path / "run")
    assert contents(tmp_path) == before


def test_killed_writers_leave_no_half_written_run(tmp_path: Path) -> None:
    """Killed at any moment, a run's directory is absent or complete, and the next write works."""
    target, pickled = tmp_path / "store" / "run", tmp_path / "run.pickle"
    pickled.write_bytes(pickle.dumps(make_run()))
    for delay in (0.005, 0.02):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(pickled), str(target)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL
        writer.stdout.close()
        if target.exists():
            verify_run(target)
        write_run(make_run(), target)
        verify_run(target)


def test_leftovers_of_killed_writers_are_removed(tmp_path: Path) -> None:
    """Old partial directories are removed, recent ones kept, and a moved run is restored."""
    for name, age in (("old", 2.0), ("young", 0.5)):
        left = tmp_path / f".run.partial-{name}"
        left.mkdir()
        made = time.time() - age * STALE_SECONDS
        os.utime(left, (made, made))
    write_run(make_run(), tmp_path / ".run.replaced-0")
    write_run(make_run(), tmp_path / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".run.partial-young", "run"]


def test_identity_depends_on_everything_that_decides_a_run() -> None:
    """Each part changes the run's name; the order of datasets and the zone of a time do not."""
    facts = {
        "config_hash": "c",
        "data_hashes": {"a": "1", "b": "2"},
        "start": datetime(2024, 6, 1, tzinfo=UTC),
        "end": datetime(2025, 3, 1, tzinfo=UTC),
        "capital": 100_000.0,
        "engine_version": "0.1.0",
    }
    changes = {
        "config_hash": "x",
        "data_hashes": {"a": "2", "b": "1"},
        "start": datetime(2024, 6, 2, tzinfo=UTC),
        "end": datetime(2025, 3, 2, tzinfo=UTC),
        "capital": 100_000.01,
        "engine_version": "0.1.1",
    }
    run_id = RunIdentity(**facts).run_id
    others = {RunIdentity(**{**facts, name: value}).run_id for name, value in changes.items()}
    assert len(others | {run_id}) == 1 + len(changes)
    same = RunIdentity(**{**facts, "data_hashes": {"b": "2", "a": "1"}, "capital": 100_000})
    assert same.run_id == run_id
    assert RunIdentity.from_json(same.as_json()).run_id == run_id
