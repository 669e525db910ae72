"""Where the peers live: a virtual environment each, and a run of a script in it."""

import os
import subprocess
import tempfile
import venv
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody else's engine, and the script that says the basis in its terms."""

    name: str
    version: str
    script: str
    beside: tuple[str, ...]  # packages that are taken in the version installed here
    recording: str = ""  # what it calls running with a record of every hour, where it is timed

    @property
    def requirements(self) -> list[str]:
        """What pip is asked for."""
        return [
            f"{self.name}=={self.version}",
            *(f"{name}=={version(name)}" for name in self.beside),
        ]


FRACTAL = Peer("fractal-defi", "1.3.1", "fractal_basis.py", ("numpy", "pandas"), "run()")
VECTORBT = Peer("vectorbt", "1.2.0", "vectorbt_basis.py", ("numba", "numpy", "pandas"))

Found = dict[str, NDArray[np.float64]]


def environment_of(peer: Peer, directory: Path) -> Path:
    """The Python that has the peer, installed below `directory` unless it already is.

    Raises
    ------
    CalledProcessError: pip could not install it; it has said why.
    """
    home = directory / f"{peer.name}-{peer.version}"
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    installed = home / "requirements.txt"  # written last: without it an installation is unfinished
    wanted = "\n".join(peer.requirements)
    if installed.is_file() and installed.read_text() == wanted:
        return python
    venv.create(home, clear=True, with_pip=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *peer.requirements], check=True)
    installed.write_text(wanted)
    return python


def run_peer(peer: Peer, python: Path, given: Path) -> Found:
    """Run the peer's script, isolated from this project, on what it is given.

    Raises
    ------
    CalledProcessError: the script failed; it has said why.
    """
    script = Path(__file__).with_name(peer.script)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "found.npz"
        subprocess.run([str(python), "-I", str(script), str(given), str(path)], check=True)
        with np.load(path) as found:
            return dict(found)
