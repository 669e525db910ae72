"""The data families: delivered, believable, and accepted by the last ingest."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from basis_pipeline.config import DatasetConfig
from basis_pipeline.errors import DataError, error_from_code
from basis_pipeline.market.raw import read_feed
from basis_pipeline.operations.health.model import Found, Status, faulty

OF_THE_WINDOW = "DATA-012"  # says something about what was asked for, not about the delivery


@dataclass(frozen=True, slots=True)
class Ingested:
    """The latest verdict on a family over all runs.

    landed: its files were there and read · code, told, where: of the first ERROR check that failed,
    empty when none did · at: when, UTC.
    """

    landed: bool
    at: datetime
    code: str = ""
    told: str = ""
    where: str = ""


def family_found(
    data_dir: Path,
    config: DatasetConfig,
    ingested: Ingested | None,
    known: Mapping[str, Any] | None,
) -> tuple[Found, dict[str, Any] | None]:
    """Look at one family: its files now, and what the last ingest said of these very files.

    Files are read as an ingest reads them, unless `known` says that they were already.

    Returns
    -------
    The finding, and what to know about the family next time.
    """
    try:
        paths = sorted(path for path in data_dir.glob(config.glob) if path.is_file())
        stats = [path.stat() for path in paths]
    except OSError as error:
        told = f"{config.name} cannot be looked at: {error.strerror}"
        return faulty(DataError("DATA-004", told, where=str(data_dir))), dict(known or {}) or None
    if not paths:
        return _absent(data_dir, config, ingested, known), dict(known or {}) or None
    seen = [
        (p.name, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for p, s in zip(paths, stats, strict=True)
    ]
    signature = hashlib.sha256(f"{config.model_dump_json()}{data_dir}{seen}".encode()).hexdigest()
    if not known or known.get("signature") != signature:
        known = {
            "data_dir": str(data_dir),
            "signature": signature,
            "fault": _fault(data_dir, config),
        }
    if known["fault"]:
        return faulty(error_from_code(**known["fault"])), dict(known)
    changed = datetime.fromtimestamp(max(max(s.st_mtime, s.st_ctime) for s in stats), UTC)
    if ingested and ingested.code not in ("", "DATA-001", OF_THE_WINDOW) and ingested.at > changed:
        refusal = error_from_code(ingested.code, ingested.told, where=ingested.where)
        return faulty(refusal), dict(known)
    size = sum(s.st_size for s in stats) / 2**20
    told = f"{len(paths)} files, {size:.1f} MiB, readable"
    return Found(Status.HEALTHY, told), dict(known)


def _absent(
    data_dir: Path,
    config: DatasetConfig,
    ingested: Ingested | None,
    known: Mapping[str, Any] | None,
) -> Found:
    """Gone is a fault; never delivered is not ready, for not every mode is run everywhere."""
    was_there = bool(known and known["data_dir"] == str(data_dir)) or bool(
        ingested and ingested.landed
    )
    what = "its files are gone" if was_there else "it was never delivered"
    error = DataError("DATA-001", f"{config.name}: {what}", where=str(data_dir / config.glob))
    return faulty(error, Status.UNHEALTHY if was_there else Status.NOT_READY, stops=True)


def _fault(data_dir: Path, config: DatasetConfig) -> dict[str, str] | None:
    try:
        read_feed(data_dir, config)
    except DataError as error:
        return {"code": error.code, "what": error.what, "where": error.where}
    return None
