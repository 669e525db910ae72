"""`basis results`: every subcommand as a person calls it, on both databases."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from basis_pipeline.cli import main
from basis_pipeline.operations.audit_log import EventType, read_events
from basis_pipeline.operations.audit_log.files import DIRECTORY
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.store import write_run
from tests.results.made_run import make_run

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def basis(
    tmp_path: Path,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Call:
    """Call `basis results …` on the test's directory; return exit code, stdout and stderr."""
    monkeypatch.setenv("BASIS_RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("BASIS_RESULTS_DB_URL", database_url)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["basis", "results", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        result = capsys.readouterr()
        return int(str(ended.value.code or 0)), result.out, result.err

    return call


@pytest.fixture
def archive(tmp_path: Path, database_url: str) -> Archive:
    """Two modes, three runs."""
    made = Archive(tmp_path / "results", database_url)
    for mode, capital in (("a", 1.0), ("b", 2.0), ("a", 3.0)):
        run = make_run(mode, hours=72, capital=capital)
        made.keep(run)
    return made


def names(basis: Call, *asked: object) -> list[str]:
    """Identities that `list` gives."""
    code, out, _ = basis("list", "--format", "json", *asked)
    assert code == 0
    return [record["run_id"] for record in json.loads(out)]


def test_list_shows_what_is_asked_for(basis: Call, archive: Archive) -> None:
    """By mode, time and status; nothing is made where nothing has run."""
    every = names(basis)
    assert len(every) == 3
    assert names(basis, "--mode", "a") == [every[0], every[2]]
    assert names(basis, "--since", "1h") == every
    assert names(basis, "--limit", "1") == every[2:]
    assert names(basis, "--status", "missing") == []
    shutil.rmtree(archive.runs / every[1])
    assert basis("drain")[0] == 1
    assert names(basis, "--status", "missing") == [every[1]]
    code, out, _ = basis("list")
    assert code == 0
    assert "3 runs" in out
    code, _, err = basis("list", "--since", "lately")
    assert (code, err.split(":")[0]) == (2, "API-001")


def test_list_counts_what_waits_to_be_recorded(basis: Call, archive: Archive) -> None:
    """A run that is judged again is queued twice, and is one run."""
    one = make_run("c", hours=72)
    write_run(one, archive.runs / one.run_id)
    archive.accept([one.run_id])
    archive.accept([one.run_id])
    assert basis("list")[1].endswith("3 runs; 1 run to be recorded\n")


def test_a_new_place_has_no_runs(basis: Call, tmp_path: Path) -> None:
    """An empty list is an answer, a run asked for by name is RS-002; no file appears."""
    assert names(basis) == []
    assert "0 runs" in basis("list")[1]
    code, _, err = basis("show", "abc")
    assert (code, err.split(":")[0]) == (2, "RS-002")
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "database").exists()


def test_show_describes_a_run(basis: Call, archive: Archive) -> None:
    """Its inputs, figures and rows are shown; a run that is not recorded is rejected."""
    first = names(basis)[0]
    code, out, _ = basis("show", first[:8])
    assert code == 0
    assert first in out
    assert "bybit:Perp:ETHUSDT" in out
    shown = json.loads(basis("show", first, "--format", "json")[1])
    assert len(shown["daily_performance"]) == 4
    assert basis("show", "zzz")[0] == 2
    assert archive.start().problems == []


def test_backup_prune_and_restore_go_together(basis: Call, archive: Archive) -> None:
    """Pruned runs are back after a restore; both operations are in the audit log."""
    every = names(basis)
    code, out, _ = basis("backup", "--keep", "1")
    assert code == 0
    file = out.removeprefix("Backup: ").strip()
    assert "1 run would be removed" in basis("prune", "--keep", "1")[1]
    assert names(basis) == every
    assert "0 runs would" in basis("prune", "--older-than", "1d")[1]
    assert basis("prune")[0] == 2
    assert "1 run removed" in basis("prune", "--keep", "1", "--yes")[1]
    assert names(basis) == every[1:]
    assert not (archive.runs / every[0]).exists()
    code, _, err = basis("restore", file)
    assert (code, err.split(":")[0]) == (2, "RS-011")
    assert basis("restore", file, "--overwrite")[0] == 0
    assert names(basis) == every
    kinds = [EventType.RESULTS_BACKED_UP, EventType.RUNS_PRUNED, EventType.RESULTS_RESTORED]
    result = list(read_events(archive.runs.parent / DIRECTORY, types=kinds))
    assert [event.type for event in result] == kinds
    assert result[1].fields["runs"] == [every[0]]


def test_a_read_only_place_can_be_read(
    basis: Call, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`list`, `show` and `request` write nothing."""
    before = {path: path.stat().st_mtime_ns for path in archive.directory.rglob("*")}
    monkeypatch.setattr(os, "access", lambda *_: False)  # who runs as root may write everywhere
    run_id = names(basis)[0]
    assert basis("show", run_id)[0] == 0
    monkeypatch.setattr(sys, "argv", ["basis", "request"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert {path: path.stat().st_mtime_ns for path in archive.directory.rglob("*")} == before
