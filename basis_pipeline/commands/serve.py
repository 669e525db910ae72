"""`basis serve`: the HTTP API and the dashboard."""

from typing import Annotated

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import settings_of


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
) -> None:
    """Serve the HTTP API and the dashboard until interrupted; /docs lists every call.

    By default only this machine can reach it; another address needs a token in BASIS_API_TOKEN.
    With BASIS_REDIS_URL several servers share the data they have collected.
    """
    from basis_pipeline.service.app import serve as run

    settings = settings_of()
    screen.echo(f"Serving http://{host}:{port}/ (calls: http://{host}:{port}/docs); Ctrl-C ends it")
    run(settings, host, port)
