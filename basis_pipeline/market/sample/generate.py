"""Write a sample: every raw feed in its real layout, and a manifest of crises and defects."""

import json
import shutil
from dataclasses import asdict
from datetime import date
from pathlib import Path

from basis_pipeline.errors import CommandError
from basis_pipeline.market.sample.calendar import REFERENCE_DAYS, Calendar
from basis_pipeline.market.sample.costs import cost_files
from basis_pipeline.market.sample.crises import crises
from basis_pipeline.market.sample.defects import Defect, add_defects
from basis_pipeline.market.sample.exchanges import exchange_files
from basis_pipeline.market.sample.market_paths import make_market_paths
from basis_pipeline.market.sample.protocols import protocol_files
from basis_pipeline.market.sample.text import SampleFile

MANIFEST = "SAMPLE_DEFECTS.json"
DEFAULT_SEED = 1
DEFAULT_START = date(2024, 1, 1)
FEWEST_DAYS = 60


def write_sample(
    out_dir: Path,
    *,
    seed: int = DEFAULT_SEED,
    days: int = REFERENCE_DAYS,
    start: date = DEFAULT_START,
) -> list[Path]:
    """Write every raw feed for `days` days from `start` 00:00 UTC; return the paths, sorted.

    The same arguments give the same bytes on every machine. `SAMPLE_DEFECTS.json` lists the
    crises, the defects and the files. An earlier sample in `out_dir` is replaced; a directory with
    other data files is rejected. All files are written to a partial directory first, then moved.

    Raises
    ------
    CommandError: API-001 fewer than 60 days, or `out_dir` holds files that are not of a sample;
        API-002 when it cannot be written.
    """
    if days < FEWEST_DAYS:
        what = f"a sample of {days} days is too short"
        raise CommandError("API-001", what, available=f"{FEWEST_DAYS} days or more")
    out_dir = Path(out_dir)
    earlier = _earlier_sample(out_dir)
    contents = sample_contents(seed=seed, days=days, start=start)
    try:
        _put_in_place(out_dir, contents, earlier)
    except OSError as error:
        what = f"the sample cannot be written: {error.strerror}"
        raise CommandError("API-002", what, where=str(error.filename or out_dir)) from error
    return sorted(out_dir / name for name in contents)


def _put_in_place(out_dir: Path, contents: dict[str, bytes], earlier: set[str]) -> None:
    partial = out_dir.with_name(f".{out_dir.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for name, content in contents.items():
        path = partial / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for name in earlier:
        (out_dir / name).unlink(missing_ok=True)
    for name in contents:
        (out_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (partial / name).replace(out_dir / name)
    shutil.rmtree(partial)


def sample_contents(*, seed: int, days: int, start: date) -> dict[str, bytes]:
    """Return the bytes of every file of a sample by path, the manifest included."""
    calendar = Calendar(start, days)
    market = make_market_paths(calendar, seed)
    files = [*exchange_files(market), *protocol_files(market), *cost_files(market)]
    defects = add_defects(_by_short_name(files), calendar)
    contents = {f.path: f.content() for f in files}
    contents[MANIFEST] = _manifest(calendar, seed, defects, sorted(contents))
    return contents


def _by_short_name(files: list[SampleFile]) -> dict[str, SampleFile]:
    """Files by the first words of their names: `bybit_BTCUSDT_spot`, `weETH_peg`."""
    named = {}
    for f in files:
        words = Path(f.path).stem.split("_")
        named["_".join(words[: 3 if words[1].endswith("USDT") else 2])] = f
    return named


def _manifest(calendar: Calendar, seed: int, defects: list[Defect], paths: list[str]) -> bytes:
    document = {
        "what": "generated sample data: no real market is shown",
        "seed": seed,
        "start": str(calendar.start),
        "days": calendar.days,
        "crises": [asdict(crisis) for crisis in crises(calendar)],
        "defects": [asdict(defect) for defect in defects],
        "files": paths,
    }
    return (json.dumps(document, indent=2) + "\n").encode()


def _earlier_sample(out_dir: Path) -> set[str]:
    """Files of the sample that `out_dir` holds now. API-001 when it holds other data files."""
    manifest = out_dir / MANIFEST
    known: set[str] = set()
    if manifest.exists():
        known = {MANIFEST, *json.loads(manifest.read_bytes())["files"]}
    data = (path for path in out_dir.rglob("*") if path.suffix in (".csv", ".json"))
    held = {path.relative_to(out_dir).as_posix() for path in data}
    if foreign := sorted(held - known):
        raise CommandError(
            "API-001",
            "the directory holds data files that are not of a sample",
            where=str(out_dir),
            available=", ".join(foreign[:5]),
            action="choose an empty or a new directory",
        )
    return known
