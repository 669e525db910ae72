"""A new project directory: the configuration of some modes, and nothing else."""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from basis_pipeline.backtests.ingest import feeds_for, inputs_of, quoted_by
from basis_pipeline.config.account import load_accounts
from basis_pipeline.config.loading import Configs
from basis_pipeline.config.rules import staking_venue
from basis_pipeline.config.slicing import slice_mode
from basis_pipeline.errors import CommandError
from basis_pipeline.files import write_atomically
from basis_pipeline.settings import project_root

# Directories of the configuration that belong to no mode.
COMMON = ("automation", "control", "health", "presets")
# Those with a file named after each mode, and files for all modes.
BY_MODE = ("scenarios", "walk_forward")
ENVIRONMENT = """# The environment of this project: relative paths start here.
BASIS_ENVIRONMENT=dev
BASIS_DATA_DIR=data
BASIS_RESULTS_DIR=results
BASIS_RESULTS_DB_URL=sqlite:///${{BASIS_RESULTS_DIR}}/runs.sqlite
BASIS_DATA_START_DATE={start}
BASIS_DATA_END_DATE={end}
BASIS_LOG_LEVEL=INFO
BASIS_DEBUG=false
BASIS_ALERT_WEBHOOK_URL=
# An archive node of Ethereum: lending rates and gas are fetched from it.
BASIS_ETHEREUM_RPC_URL=
"""
WORKSPACE = "load_from:\n  - python_module: basis_pipeline.definitions\n"


def write_project(
    directory: Path, configs: Configs, config_dir: Path, modes: Sequence[str], today: date
) -> list[Path]:
    """Write a complete project: configuration, environment and Dagster's files.

    Parameters
    ----------
    directory: a new or an empty one.
    configs, config_dir: the configuration that the modes' files are copied from.
    modes: their venues, share classes, datasets, accounts and scenario sets are copied with them.
    today: the window ends with the previous month, and starts a year earlier.

    Returns
    -------
    The files written, below the directory.

    Raises
    ------
    CommandError: API-001 the directory is not empty; API-002 it cannot be written.
    ConfigError: as `slice_mode`, of a mode that could not run.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise CommandError(
            "API-001",
            "the directory of a new project must be empty",
            where=str(directory),
            action="name a new or an empty directory",
        )
    files = _files(configs, config_dir, modes)
    contents = {f"configs/{file}": (config_dir / file).read_bytes() for file in files}
    contents["configs/control/limits.yaml"] = _limits_of(
        contents["configs/control/limits.yaml"].decode(), modes
    ).encode()
    end = today.replace(day=1)
    start = end.replace(year=end.year - 1)
    contents[".env"] = ENVIRONMENT.format(start=start, end=end).encode()
    contents["dagster.yaml"] = (project_root() / "dagster.yaml").read_bytes()
    contents["workspace.yaml"] = WORKSPACE.encode()
    contents[".gitignore"] = b".env\ndata/\nresults/\n"
    try:
        for name, content in sorted(contents.items()):
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(directory / name, content)
        for name in ("data", "results"):
            (directory / name).mkdir(exist_ok=True)
    except OSError as error:
        what = f"the project cannot be written: {error.strerror}"
        raise CommandError("API-002", what, where=str(error.filename or directory)) from error
    return sorted(directory / name for name in contents)


def _files(configs: Configs, config_dir: Path, modes: Sequence[str]) -> Iterator[str]:
    """List the configuration files that the modes need, as `modes/x.yaml`."""
    datasets, venues, classes = set[str](), set[str](), set[str]()
    for name in modes:
        mode = configs.mode(name)
        datasets |= inputs_of(configs, slice_mode(configs, name))
        classes.add(mode.share_class)
        venues |= {mode.spot.venue, mode.lending.protocol, *mode.hedge.venues, *mode.hedge.carry}
        if issuer := staking_venue(mode.staking.lst, configs):
            venues |= {issuer.venue, issuer.sold_at, *issuer.rewards.values()}
    datasets |= quoted_by(configs, datasets)
    while (wider := set(feeds_for(configs, datasets))) != datasets:
        datasets = wider
    for folder, names in (
        ("modes", set(modes)),
        ("venues", venues),
        ("share_classes", classes),
        ("datasets", datasets),
        ("accounts", {a.name for a in load_accounts(config_dir)[0].values() if a.mode in modes}),
    ):
        yield from (f"{folder}/{name}.yaml" for name in sorted(names))
    for folder in (*COMMON, *BY_MODE):
        for path in sorted((config_dir / folder).glob("*.yaml")):
            if folder in COMMON or path.stem in modes or path.stem not in configs.mode_names:
                yield f"{folder}/{path.name}"


def _limits_of(text: str, modes: Sequence[str]) -> str:
    """Return the limits of emergency control without those of other modes."""
    head, heading, of_modes = text.partition("\nmodes:")
    if not heading:
        return text
    lines = of_modes.split("\n")
    kept = [line for line in lines[1:] if re.match(rf"  ({'|'.join(modes)}):", line)]
    first = lines[0] if kept else f" {{}}{lines[0]}"
    return "\n".join([f"{head}{heading}{first}", *kept]) + "\n"
