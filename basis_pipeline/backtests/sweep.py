"""A sweep: every point of a study as one row of figures, in batches stored as they finish.

A batch is a range of indices and a file of its own, written whole or not at all; a sweep that was
stopped continues with the missing batches. Rows depend on their point alone, so neither the number
of workers nor the order changes a byte.
"""

import io
import json
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from basis_pipeline.backtests.backtest import TOLERANCE, require_reconciled, run_backtest
from basis_pipeline.backtests.checks import backtest_checks
from basis_pipeline.backtests.fan_out import Executor, Piece, in_threads
from basis_pipeline.backtests.judged import JudgedRun
from basis_pipeline.backtests.probes import is_direct
from basis_pipeline.backtests.scenarios import Study, direct_values
from basis_pipeline.config import slice_mode
from basis_pipeline.config.loading import canonical_json
from basis_pipeline.config.points import (
    Column,
    Indices,
    columns,
    coordinates,
    counts,
    market_names,
    size,
    window_names,
)
from basis_pipeline.config.scenario import CAPITAL, Choice
from basis_pipeline.engine import ENGINE_VERSION, FIGURES
from basis_pipeline.engine.figures import COUNTED
from basis_pipeline.engine.model import Floats, Status
from basis_pipeline.errors import DataError, ResultsError
from basis_pipeline.files import sha256, write_atomically

BATCH = 4096  # points of a batch
FORMAT = 1
MANIFEST = "manifest.json"
BATCHES = "batches"

# The code of the error that a single run of such a point raises; the row has it beside the figures.
STATUS: dict[int, str] = {
    Status.SOUND: "",
    Status.EMPTIED: "CONFIG-012",
    Status.NOT_FINITE: "MATH-001",
    Status.NOT_ENTERED: "BT-004",
}
UNRECONCILED = "BT-002"


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a sweep. Points of finished batches on disk count as done."""

    done: int
    total: int
    resumed: int  # done by earlier calls
    seconds: float

    @property
    def rate(self) -> float:
        """Points a second of this call; 0 before its first."""
        return (self.done - self.resumed) / self.seconds if self.seconds > 0.0 else 0.0

    @property
    def seconds_left(self) -> float:
        """Remaining time at that rate; infinite before the first point."""
        return (self.total - self.done) / self.rate if self.rate > 0.0 else float("inf")


def table_of(study: Study, indices: Indices, figures: Floats, capitals: Column) -> pa.Table:
    """Return one row per point, in the order of the indices: keys, status and figures.

    `status` is empty, or the code of the error that a single run of the point raises; the figures
    (SEMANTICS 11) are then those the engine computed nevertheless.
    """
    scenarios = study.scenarios
    window, market, path, sample = coordinates(scenarios, indices)
    values = columns(scenarios, sample)
    made: dict[str, pa.Array] = {
        "index": pa.array(indices, pa.int64()),
        "window": _named(window_names(scenarios), window),
        "market": _named(market_names(scenarios), market),
        "path": pa.array(path if scenarios.bootstrap else np.full(len(path), -1), pa.int64()),
    }
    for key, axis in scenarios.keys.items():
        if key == CAPITAL:
            continue
        if is_direct(key, axis):
            made[key] = pa.array(direct_values(axis, values[key]), pa.float64())
        elif isinstance(axis, Choice):
            texts = tuple(json.dumps(value, sort_keys=True) for value in axis.values)
            made[key] = _named(texts, values[key].astype(np.int64))
        else:
            made[key] = pa.array(values[key], pa.float64())
    made[CAPITAL] = pa.array(capitals, pa.float64())
    made["status"] = pa.array(_statuses(figures), pa.string())
    for place, name in enumerate(FIGURES[1:], start=1):
        counted = name in COUNTED
        column = figures[:, place].astype(np.int64) if counted else figures[:, place].copy()
        made[name] = pa.array(column, pa.int64() if counted else pa.float64(), from_pandas=False)
    return pa.table(made)


def _named(names: tuple[str | None, ...], numbered: Indices) -> pa.Array:
    return pa.array([names[i] or "" for i in numbered.tolist()], pa.string())


def _statuses(figures: Floats) -> list[str]:
    residual = figures[:, FIGURES.index("max_abs_residual")]
    codes = [STATUS[int(status)] for status in figures[:, 0]]
    unexplained = ~(residual <= TOLERANCE)
    return [
        code or (UNRECONCILED if wrong else "")
        for code, wrong in zip(codes, unexplained, strict=True)
    ]


def run_point(study: Study, index: int) -> JudgedRun:
    """Run one point of a study as a backtest of its own: tables, and verdicts on it and its data.

    Raises
    ------
    IndexError: no such point. ConfigError, BacktestError, MathError: with the code that is the
        status of its row.
    """
    chosen = study.point(index)
    mode_slice = study.slice_of(chosen.overrides)
    panel = study.panel_of(mode_slice, chosen)
    capital = float(chosen.overrides.get(CAPITAL, study.capital))
    benchmarks = study.benchmarks_of(mode_slice, chosen)
    window = study.windows[chosen.window]
    result = run_backtest(mode_slice, panel, window, capital, benchmarks)
    require_reconciled(result)
    gates = backtest_checks(result, mode_slice, panel)
    return JudgedRun(result, panel, [*study.verdicts, *gates])


def identity_of(study: Study) -> str:
    """Hash all that rows depend on: configuration, set, data, windows, capital, engine."""
    configs = study.configs
    mode_slice = slice_mode(configs, study.mode, study.overrides)
    facts = {
        "format": FORMAT,
        "batch": BATCH,
        "engine": ENGINE_VERSION,
        "mode": mode_slice.config_hash,
        "others": [
            canonical_json(model)
            for kind in (configs.venues, configs.share_classes, configs.datasets)
            for _, model in sorted(kind.items())
        ],
        "scenarios": canonical_json(study.scenarios),
        "windows": {str(name): str(window) for name, window in study.windows.items()},
        "capital": study.capital,
        "data": _contents(study),
    }
    return sha256(json.dumps(facts, sort_keys=True))


def data_hash(study: Study) -> str:
    """Hash the data that the rows depend on."""
    return sha256(json.dumps(_contents(study), sort_keys=True))


def _contents(study: Study) -> dict[str, object]:
    return {
        name: dataset.content_hashes if not isinstance(dataset, DataError) else dataset.code
        for name, dataset in sorted(study.datasets.items())
    }


def place_of(study: Study, results_dir: Path, kind: str) -> Path:
    """Return a study's own directory below the results, named after its identity."""
    return results_dir / kind / study.mode / f"{study.scenarios.name}-{identity_of(study)[:12]}"


def batch_path(out: Path, identity: str, first: int, last: int) -> Path:
    """Return the file of the batch of points `first … last`, both included."""
    return out / BATCHES / f"points-{first:010d}-{last:010d}-{identity[:12]}.parquet"


def batches(study: Study) -> Iterator[tuple[int, int]]:
    """Yield first and last point of every batch."""
    total = size(study.scenarios)
    for first in range(0, total, BATCH):
        yield first, min(first + BATCH, total) - 1


def is_finished(path: Path, rows: int) -> bool:
    """Say whether a batch's file exists and is complete."""
    try:
        return bool(pq.read_metadata(path).num_rows == rows)
    except (OSError, pa.ArrowInvalid):
        return False


def write_batch(path: Path, table: pa.Table) -> None:
    """Write the file of a batch, all of it or nothing. Raises ResultsError RS-001."""
    try:
        content = io.BytesIO()
        pq.write_table(table, content, compression="zstd")
        write_atomically(path, content.getvalue())
    except OSError as error:
        what = f"a batch cannot be written: {error.strerror}"
        raise ResultsError("RS-001", what, where=str(path)) from error


def read_rows(study: Study, out: Path, figures: Collection[str] = FIGURES) -> pa.Table:
    """Read all rows of a finished sweep, in the order of their points, with the figures named.

    A whole row takes 386 bytes, the columns that gates and pages read 120: fewer figures save
    memory in a sweep of a million points.
    """
    identity = identity_of(study)
    files = [batch_path(out, identity, first, last) for first, last in batches(study)]
    names = pq.read_schema(files[0]).names
    left_out = set(FIGURES[1:]).difference(
        figures
    )  # the first is the status, which every reader needs
    wanted = [name for name in names if name not in left_out]
    return pa.concat_tables([pq.read_table(file, columns=wanted) for file in files])


def open_sweep(study: Study, out: Path) -> str:
    """Create a sweep's directory, or check an existing one, and return the sweep's identity.

    Raises
    ------
    ResultsError: RS-013 when it holds another sweep, RS-001 when it cannot be written.
    """
    identity = identity_of(study)
    manifest = {
        "identity": identity,
        "mode": study.mode,
        "overrides": dict(study.overrides),
        "capital": study.capital,
        "scenarios": study.scenarios.model_dump(mode="json"),
        "counts": counts(study.scenarios),
        "points": size(study.scenarios),
        "batch": BATCH,
        "engine_version": ENGINE_VERSION,
        "windows": {name or "": str(window) for name, window in study.windows.items()},
    }
    file = out / MANIFEST
    try:
        (out / BATCHES).mkdir(parents=True, exist_ok=True)
        if file.exists():
            stored = _stored_identity(file)
            if stored != identity:
                known = stored[:12] or "whose manifest is damaged"
                raise ResultsError(
                    "RS-013",
                    f"the directory holds another sweep, {known}",
                    where=str(out),
                    context={"required": identity[:12]},
                )
        else:
            text = json.dumps(manifest, indent=2, sort_keys=True, default=str) + "\n"
            write_atomically(file, text.encode())
    except OSError as error:
        what = f"the sweep cannot be written: {error.strerror}"
        raise ResultsError("RS-001", what, where=str(out)) from error
    return identity


def _stored_identity(manifest: Path) -> str:
    try:
        return str(json.loads(manifest.read_text("utf-8"))["identity"])
    except (ValueError, KeyError, TypeError):
        return ""


def sweep(
    study: Study,
    out: Path,
    *,
    run: Executor | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Run every batch that is not finished yet.

    However it is stopped, only the unfinished batches are lost.

    Parameters
    ----------
    run: computes the figures; threads of this process, one per core, when not given.
    report: called after every piece.

    Raises
    ------
    ResultsError: as `open_sweep`. ComponentError: as the executor.
    """
    identity = open_sweep(study, out)
    total, begun = size(study.scenarios), time.monotonic()
    missing = {
        first: last
        for first, last in batches(study)
        if not is_finished(batch_path(out, identity, first, last), last - first + 1)
    }
    resumed = done = total - sum(last - first + 1 for first, last in missing.items())
    report(Progress(done, total, resumed, 0.0))
    unfinished: dict[int, list[Piece]] = {}
    for piece in (run or in_threads(os.cpu_count() or 1))(study, list(missing.items())):
        (first, last), *_ = piece
        batch = first - first % BATCH
        pieces = unfinished.setdefault(batch, [])
        pieces.append(piece)
        if sum(len(capitals) for _, _, capitals in pieces) == missing[batch] - batch + 1:
            file = batch_path(out, identity, batch, missing[batch])
            _write_pieces(study, file, unfinished.pop(batch))
        done += last - first + 1
        report(Progress(done, total, resumed, time.monotonic() - begun))
    return Progress(done, total, resumed, time.monotonic() - begun)


def _write_pieces(study: Study, path: Path, pieces: list[Piece]) -> None:
    """Join the pieces of one batch and write it."""
    pieces.sort(key=lambda piece: piece[0])
    indices = np.arange(pieces[0][0][0], pieces[-1][0][1] + 1)
    figures = np.concatenate([figures for _, figures, _ in pieces])
    capitals = np.concatenate([capitals for _, _, capitals in pieces])
    write_batch(path, table_of(study, indices, figures, capitals))
