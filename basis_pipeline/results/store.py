"""The store of runs: one directory per run, written completely or not at all, and hashed.

A run's directory holds `summary.json`, `config.json` and one Parquet file a table. `summary.json`
records the hash of every other file, the database (`basis_pipeline.results.database`) that of
`summary.json`. Nothing in them depends on when or where the run was made: the same run gives the
same bytes. No hash of the run covers the other two files of the directory: `verdicts.json`, the
verdicts of the run's gates, which may be added or replaced later, and `origin.json`, which says
when and from which directory the run was made.
"""

import json
import secrets
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import pandas as pd

from basis_pipeline.errors import ResultsError
from basis_pipeline.files import sha256, sync_directory, write_atomically
from basis_pipeline.results.origin import ORIGIN
from basis_pipeline.results.tables import REQUIRED_TABLES, TABLES, decode, encode
from basis_pipeline.verdict import Verdict

SUMMARY = "summary.json"
CONFIG = "config.json"
VERDICTS = "verdicts.json"
ADDED = ("run_id", "mode", "identity", "files")
STALE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What decides a run (SEMANTICS 13); two runs with equal identities are the same run.

    `data_hashes` are those of the datasets read, by name; `start`, `end` the first and last hour;
    `capital` is in the share class's currency.
    """

    config_hash: str
    data_hashes: dict[str, str]
    start: datetime
    end: datetime
    capital: float
    engine_version: str

    @property
    def run_id(self) -> str:
        """Sixteen hexadecimal digits of the hash of everything above."""
        return sha256(canonical_json(self.as_json()))[:16]

    @property
    def data_hash(self) -> str:
        """One hash over all datasets."""
        return sha256(canonical_json(self.data_hashes))

    def as_json(self) -> dict[str, Any]:
        """Plain values, times in ISO 8601."""
        times = {"start": self.start.isoformat(), "end": self.end.isoformat()}
        return {**asdict(self), **times, "capital": float(self.capital)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `as_json` returned."""
        times = {name: datetime.fromisoformat(values[name]) for name in ("start", "end")}
        return cls(**{**values, **times})


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run: its identity, sliced configuration, figures, and tables by name.

    `summary` may not use the keys that the store adds to it: run_id, mode, identity, files.
    """

    identity: RunIdentity
    mode: str
    config: dict[str, Any]
    summary: dict[str, Any]
    frames: dict[str, pd.DataFrame]

    @property
    def run_id(self) -> str:
        """The run's name in the store."""
        return self.identity.run_id


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def write_run(
    result: RunResult, directory: Path, verdicts: Iterable[Verdict] | None = None
) -> Path:
    """Write a run as `directory`, completely or not at all; an intact copy there is kept.

    Another run found there is replaced as a whole, and so is a copy of this one that is damaged, or
    that has the same tables but figures computed by an earlier version.

    Parameters
    ----------
    verdicts: of the run's gates; they replace those of a run that is already there. None keeps
        those.

    Raises
    ------
    ResultsError: RS-001 when the directory cannot be written, or holds something that is not a run;
        RS-003 when it holds the same run with other tables, so that one of the two is wrong;
        RS-004 when a table or the summary is not one that the store keeps.
    """
    directory = directory.absolute()
    files = _files_of(result)
    judged = {} if verdicts is None else {VERDICTS: _verdicts_file(verdicts)}
    with _writing(directory):
        directory.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(directory)
        if _holds(directory, result.run_id, files):
            for name, content in judged.items():
                write_atomically(directory / name, content)
            return directory
        partial = directory.parent / f".{directory.name}.partial-{secrets.token_hex(4)}"
        try:
            partial.mkdir()
            for name, content in (files | judged).items():
                write_atomically(partial / name, content)
            sync_directory(partial)
            if not _holds(directory, result.run_id, files):  # another writer may have been faster
                _put_in_place(partial, directory)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return directory


def read_run(directory: Path, tables: Collection[str] = TABLES) -> RunResult:
    """Read a run, with the tables named, and check every file against its recorded hash.

    Raises
    ------
    ResultsError: RS-002 when there is no run, RS-003 when a file is missing or differs, RS-006 when
        one cannot be read.
    """
    summary = read_summary(directory)
    contents = {name: _verified(directory, name, entry) for name, entry in summary["files"].items()}
    return RunResult(
        identity=RunIdentity.from_json(summary["identity"]),
        mode=summary["mode"],
        config=json.loads(contents[CONFIG]),
        summary={name: value for name, value in summary.items() if name not in ADDED},
        frames={
            table: decode(contents[file])
            for table in tables
            if (file := f"{table}.parquet") in contents
        },
    )


def read_summary(directory: Path) -> dict[str, Any]:
    """Return the summary of a run directory.

    Raises
    ------
    ResultsError: RS-002 when there is no run, RS-003 when its summary is damaged.
    """
    if (content := _read(directory / SUMMARY)) is None:
        around = sorted(path.parent.name for path in directory.parent.glob(f"*/{SUMMARY}"))
        raise ResultsError(
            "RS-002",
            "there is no run here",
            where=str(directory),
            available=", ".join(around[:20]),
            context={"required": "a run", "expected": str(directory / SUMMARY)},
        )
    try:
        summary = json.loads(content)
    except ValueError as error:
        raise ResultsError("RS-003", "summary.json is damaged", where=str(directory)) from error
    if not isinstance(summary, dict) or not set(ADDED) <= summary.keys():
        raise ResultsError("RS-003", "summary.json is not that of a run", where=str(directory))
    return summary


def write_verdicts(directory: Path, verdicts: Iterable[Verdict]) -> None:
    """Write the verdicts of a stored run, replacing earlier ones.

    Raises
    ------
    ResultsError: RS-001 when they cannot be written, RS-002 when there is no run.
    """
    read_summary(directory)
    with _writing(directory):
        write_atomically(directory / VERDICTS, _verdicts_file(verdicts))


def read_verdicts(directory: Path) -> list[Verdict]:
    """Read the verdicts of a stored run; none when it has none yet.

    Raises
    ------
    ResultsError: RS-003 when the file is damaged, RS-006 when it cannot be read.
    """
    if (content := _read(directory / VERDICTS)) is None:
        return []
    try:
        return [Verdict.from_json(values) for values in json.loads(content)]
    except (ValueError, KeyError, TypeError) as error:
        what = f"{VERDICTS} is damaged"
        raise ResultsError("RS-003", what, where=str(directory / VERDICTS)) from error


def verify_run(directory: Path, summary_sha256: str | None = None) -> None:
    """Check every file of a run against its recorded hash, `summary.json` against the given one.

    Raises
    ------
    ResultsError: RS-002 when there is no run, RS-003 when a file is missing or differs, RS-006 when
        one cannot be read.
    """
    summary = read_summary(directory)
    if summary_sha256 is not None:
        _verified(directory, SUMMARY, {"sha256": summary_sha256})
    for name, entry in summary["files"].items():
        _verified(directory, name, entry)


def summary_hash(directory: Path) -> str:
    """Return the hash of a run's `summary.json`, which records those of all other files.

    Raises
    ------
    ResultsError: RS-002 when there is no run, RS-003 or RS-006 when it cannot be read.
    """
    read_summary(directory)
    return sha256((directory / SUMMARY).read_bytes())


def run_files(directory: Path) -> list[Path]:
    """List every file of a run, verdicts and origin included. Raises as `summary_hash`."""
    names = (SUMMARY, *read_summary(directory)["files"])
    further = [name for name in (VERDICTS, ORIGIN) if (directory / name).is_file()]
    return [directory / name for name in (*names, *further)]


def verdicts_hash(directory: Path) -> str | None:
    """Return the hash of a run's verdicts; None where it has none, or they cannot be read."""
    try:
        return sha256((directory / VERDICTS).read_bytes())
    except OSError:
        return None


def _files_of(result: RunResult) -> dict[str, bytes]:
    """Return every file of a run by name; `summary.json`, which records the others, is last."""
    if lacking := [table for table in REQUIRED_TABLES if table not in result.frames]:
        raise ResultsError("RS-004", f"a run has every table; lacking: {', '.join(lacking)}")
    if taken := set(ADDED) & result.summary.keys():
        what = f"{', '.join(sorted(taken))} of a summary are added by the store"
        raise ResultsError("RS-004", what)
    files = {CONFIG: _pretty(result.config)}
    for table, frame in result.frames.items():
        files[f"{table}.parquet"] = encode(table, frame)
    rows = {f"{table}.parquet": {"rows": len(frame)} for table, frame in result.frames.items()}
    summary = {
        "run_id": result.run_id,
        "mode": result.mode,
        **result.summary,
        "identity": result.identity.as_json(),
        "files": {name: {"sha256": sha256(c), **rows.get(name, {})} for name, c in files.items()},
    }
    return {**files, SUMMARY: _pretty(summary)}


def _verdicts_file(verdicts: Iterable[Verdict]) -> bytes:
    return _pretty([verdict.to_json() for verdict in verdicts])


def _pretty(value: Any) -> bytes:
    return (json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def _holds(directory: Path, run_id: str, files: Mapping[str, bytes]) -> bool:
    """Return whether `directory` already holds this run, intact."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return False
    try:
        summary = read_summary(directory)
    except ResultsError as error:
        there = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
        if error.code == "RS-003" and there <= {*files, VERDICTS, ORIGIN}:
            return False
        raise ResultsError(
            "RS-001",
            "the directory is in use for something that is not a run",
            where=str(directory),
            action="name an empty or a new directory",
        ) from error
    if summary["run_id"] != run_id:
        return False
    try:
        verify_run(directory)
    except ResultsError:
        return False  # damaged: it is written again
    stored = summary["files"]
    tables = [f"{table}.parquet" for table in REQUIRED_TABLES]
    if differing := [t for t in tables if stored[t]["sha256"] != sha256(files[t])]:
        raise ResultsError(
            "RS-003",
            f"the run {run_id} differs from the stored one: {', '.join(differing)}",
            where=str(directory),
            action="delete the stored run if the code has changed; otherwise report it",
        )
    return (directory / SUMMARY).read_bytes() == files[SUMMARY]


def _put_in_place(partial: Path, directory: Path) -> None:
    """Rename the complete directory to its name, moving another run that has it out of the way."""
    old = directory.parent / f".{directory.name}.replaced-{secrets.token_hex(4)}"
    if directory.exists() and any(directory.iterdir()):
        directory.rename(old)
    partial.rename(directory)
    sync_directory(directory.parent)
    shutil.rmtree(old, ignore_errors=True)


def _remove_leftovers(directory: Path) -> None:
    """Remove files of killed writers of this directory; restore a run that they had moved away."""
    replaced, partial = f".{directory.name}.replaced-", f".{directory.name}.partial-"
    for left in sorted(directory.parent.iterdir()):
        if left.name.startswith(replaced) and not directory.exists():
            left.rename(directory)
        elif left.name.startswith((replaced, partial)):
            with suppress(FileNotFoundError):  # its writer is still alive
                if time.time() - left.stat().st_mtime > STALE_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)


def _verified(directory: Path, name: str, entry: Mapping[str, Any]) -> bytes:
    file = directory / name
    if (content := _read(file)) is None:
        raise ResultsError("RS-003", f"{name} is missing", where=str(file))
    if sha256(content) != entry["sha256"]:
        raise ResultsError("RS-003", f"{name} does not match its recorded hash", where=str(file))
    return content


def _read(file: Path) -> bytes | None:
    """Return the content of a file; None where it is missing."""
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        what = f"the run cannot be read: {error.strerror}"
        raise ResultsError("RS-006", what, where=str(error.filename or file)) from error


@contextmanager
def _writing(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"the results cannot be written: {error.strerror or error}"
        raise ResultsError("RS-001", what, where=str(error.filename or where)) from error
