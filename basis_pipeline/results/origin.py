"""The origin of a run: `origin.json` in its directory, which no hash of the run covers.

The same run gives the same files wherever and whenever it is made. Facts that readers need but that
are not part of its identity are kept here, written when the run is first made.
"""

import json
import shutil
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Self

from basis_pipeline import __version__
from basis_pipeline.files import write_atomically
from basis_pipeline.settings import SAMPLE

ORIGIN = "origin.json"


@dataclass(frozen=True, slots=True)
class Origin:
    """When a run was made, from which data directory and by which version of the program.

    commit: that of the checkout, with `-dirty` where it had changes; empty outside of one.
    """

    created_at: datetime
    data_dir: str
    is_sample: bool
    version: str
    commit: str

    @classmethod
    def of(cls, data_dir: Path) -> Self:
        """Return the origin of a run that is made now from a data directory."""
        is_sample = (data_dir / SAMPLE).exists()
        return cls(datetime.now(UTC), str(data_dir), is_sample, __version__, commit())

    @property
    def data(self) -> str:
        """Whether the data are a sample or real, and their directory."""
        return f"{'sample' if self.is_sample else 'real'} data, {self.data_dir}"

    @property
    def program(self) -> str:
        """Version and commit of the program."""
        return f"{self.version}, commit {self.commit}" if self.commit else self.version


def write_origin(directory: Path, origin: Origin) -> None:
    """Write the origin of a stored run, unless it has one."""
    file = directory / ORIGIN
    if not file.exists():
        content = {**asdict(origin), "created_at": origin.created_at.isoformat()}
        write_atomically(file, (json.dumps(content, indent=2) + "\n").encode())


def read_origin(directory: Path) -> Origin | None:
    """Read the origin of a stored run; None where it is missing or cannot be read."""
    try:
        values = json.loads((directory / ORIGIN).read_bytes())
        return Origin(**{**values, "created_at": datetime.fromisoformat(values["created_at"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


@cache
def commit() -> str:
    """Return the commit of the checkout that the program runs from; empty outside of one."""
    checkout, git = Path(__file__).parents[2], shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return ""
    described = [git, "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(described, capture_output=True, text=True, timeout=5.0, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
