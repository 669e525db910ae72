"""`basis init`: write a new project directory."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import project_configs

DEFAULT = ("sol_basis", "funding_arbitrage")


def init(
    directory: Annotated[Path, typer.Argument(help="A new or an empty directory.")],
    modes: Annotated[
        list[str] | None,
        typer.Option("--mode", help="A mode of the project; may be given several times."),
    ] = None,
) -> None:
    """Write a project with the configuration of some modes; commands run inside it use it.

    Example: basis init my_project --mode sol_basis
    """
    from basis_pipeline.operations.new_project import write_project
    from basis_pipeline.settings import config_directory

    chosen = modes or DEFAULT
    configs = project_configs()
    paths = write_project(directory, configs, config_directory(), chosen, datetime.now(UTC).date())
    screen.echo(f"{len(paths)} files below {directory}: {', '.join(chosen)}")
    screen.echo(f"Next: cd {directory}, basis data fetch, basis run")
