"""`basis platform`: start, stop and show the processes of the platform on this machine."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import ResultsDir, settings_of

if TYPE_CHECKING:
    from basis_pipeline.service.processes import Running

WebPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of Dagster's web interface.")]
ApiPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of API and dashboard.")]
RedisPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of Redis.")]
WithRedis = Annotated[bool, typer.Option("--redis", help="Also start Redis, for several APIs.")]

platform = typer.Typer(help="Start, stop and show the processes of the platform.")


@platform.command()
def start(
    web_port: WebPort = 3000,
    api_port: ApiPort = 8000,
    redis_port: RedisPort = 6379,
    redis: WithRedis = False,
    results_dir: ResultsDir = None,
) -> None:
    """Start web interface, daemon and API unless they run already, and wait until they work.

    Their logs are in <results>/platform. Only this machine can reach them.
    """
    from basis_pipeline.service import processes

    settings = settings_of(results_dir=results_dir)
    ports = processes.Ports(web_port, api_port, redis_port)
    _show(processes.start(settings, ports, redis=redis))


@platform.command()
def stop(results_dir: ResultsDir = None) -> None:
    """Stop every process; work in progress is finished, or repeated after the next start."""
    from basis_pipeline.service import processes

    names = processes.stop(settings_of(results_dir=results_dir))
    screen.echo(f"Stopped: {', '.join(names)}" if names else "Nothing is running.")


@platform.command()
def restart(results_dir: ResultsDir = None) -> None:
    """Stop every process, and start all of them again on the same ports."""
    from basis_pipeline.service import processes

    _show(processes.restart(settings_of(results_dir=results_dir)))


@platform.command()
def status(results_dir: ResultsDir = None) -> None:
    """Show every process; exit code 1 when one does not run or does not answer."""
    from basis_pipeline.service import processes

    found = processes.status(settings_of(results_dir=results_dir))
    _show(found)
    if not all(process.is_up for process in found):
        raise typer.Exit(1)


def _show(found: "Sequence[Running]") -> None:
    words = {True: "works", False: "does not answer"}
    rows = [
        [p.name, words[p.is_up] if p.pid else "stopped", str(p.pid or screen.DASH), p.address]
        for p in found
    ]
    screen.console().print(screen.table("", ("process", "state", "pid", "address"), rows))
