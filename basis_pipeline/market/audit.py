"""What lies in a data directory: one line per family, with a verdict."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.errors import DataError
from basis_pipeline.market.dataset import Dataset, build_dataset
from basis_pipeline.market.grid import lay_grid
from basis_pipeline.market.quality import outlier_rows
from basis_pipeline.market.raw import RawFeed, read_feeds
from basis_pipeline.market.repairs import Hole, find_holes
from basis_pipeline.market.window import Window
from basis_pipeline.verdict import Status


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One family: what it holds and whether a dataset can be made of it.

    holes counts stretches without own rows, longest_hole_hours the longest of them; both are None
    where the family has no regular rows. code and message say why it failed or wants a look.
    verdict: N/A where there is no file.
    """

    family: str
    kind: str
    files: int
    first: pd.Timestamp | None
    last: pd.Timestamp | None
    rows: int
    holes: int | None
    longest_hole_hours: int | None
    exact_duplicates: int
    outliers: int
    verdict: Status
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Examined:
    """A family as it was found: its files, and the dataset made of them over `window`.

    raw, outcome: each its error where it was refused; window: None where the files were.
    """

    config: DatasetConfig
    raw: RawFeed | DataError
    window: Window | None
    outcome: Dataset | DataError


def examine(
    config: DatasetConfig, families: Mapping[str, RawFeed | DataError], window: Window | None
) -> Examined:
    """Build the dataset of one family, over `window` or else over its own span.

    Parameters
    ----------
    families: at least this one and what its repairs may read; a refused one as its error.
    """
    raw = families[config.name]
    if isinstance(raw, DataError):
        return Examined(config, raw, None, raw)
    asked = window or _own_window(raw)
    try:
        return Examined(config, raw, asked, build_dataset(config, raw, asked, families))
    except DataError as error:
        return Examined(config, raw, asked, error)


def examine_all(
    data_dir: Path, configs: Iterable[DatasetConfig], window: Window | None = None
) -> list[Examined]:
    """Read every family and try to build its dataset. Never raises for data."""
    catalogue = list(configs)
    families = read_feeds(data_dir, catalogue)
    return [examine(config, families, window) for config in catalogue]


def audit(
    data_dir: Path, configs: Iterable[DatasetConfig], window: Window | None = None
) -> list[AuditLine]:
    """Read every family and try to build its dataset, over `window` or else over its own span.

    Never raises for data: a refusal is a line with its code.
    """
    return [audit_line(found) for found in examine_all(data_dir, configs, window)]


def audit_table(lines: Iterable[AuditLine]) -> pd.DataFrame:
    """The lines as a table, one column per field."""
    names = [f.name for f in fields(AuditLine)]
    return pd.DataFrame([[getattr(line, name) for name in names] for line in lines], columns=names)


def audit_line(found: Examined) -> AuditLine:
    """The line that a family's examination comes to."""
    config, raw, outcome = found.config, found.raw, found.outcome
    if isinstance(raw, DataError) or found.window is None:
        assert isinstance(outcome, DataError)  # without files there is no dataset
        verdict = Status.NOT_APPLICABLE if outcome.code == "DATA-001" else Status.FAIL
        nothing = (None, None, 0, None, None, 0, 0)
        told = (verdict, outcome.code, str(outcome))
        return AuditLine(config.name, config.kind, 0, *nothing, *told)
    holes = family_holes(config, raw, found.window)
    outliers, code, verdict, message = 0, "", Status.PASS, _told(raw)
    if isinstance(outcome, DataError):
        verdict, code, message = Status.FAIL, outcome.code, str(outcome)
    else:
        outliers = int(outlier_rows(outcome.frame, config).sum())
        repairs = [f"{count} rows {kind}" for kind, count in outcome.repairs.items()]
        repairs += [f"{outliers} outliers"] if outliers else []
        if repairs:
            verdict, message = Status.WARN, ", ".join([*repairs, *([message] if message else [])])
    first, last = raw.span or (None, None)
    return AuditLine(
        config.name,
        config.kind,
        len(raw.files),
        first,
        last,
        len(raw.frame),
        None if holes is None else len(holes),
        None if holes is None else max((hole.hours for hole in holes), default=0),
        raw.exact_duplicates,
        outliers,
        verdict,
        code,
        message,
    )


def _told(raw: RawFeed) -> str:
    return f"{raw.exact_duplicates} exact duplicates dropped" if raw.exact_duplicates else ""


def _own_window(raw: RawFeed) -> Window:
    """The whole hours a family spans; a day where it has no time or a single stamp."""
    first, last = raw.span or (pd.Timestamp("2024-01-01", tz="UTC"),) * 2
    start, end = first.floor("h"), last.floor("h")
    return Window(start, end if end > start else start + pd.Timedelta(days=1))


def family_holes(config: DatasetConfig, raw: RawFeed, window: Window) -> list[Hole] | None:
    """Stretches of the window without own rows; None where the family has no regular rows."""
    if config.frequency_hours is None or config.is_document:
        return None
    try:
        grid = lay_grid(config, raw, window)
    except DataError:
        return None
    return find_holes(grid, raw.distinct.timestamps)
