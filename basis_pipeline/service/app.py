"""`create_app` assembles the service; `serve` runs it until it is stopped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import FrameType
from uuid import uuid4

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from basis_pipeline.errors import CommandError
from basis_pipeline.results.database.migration import POOLING
from basis_pipeline.service.collector import Collector
from basis_pipeline.service.context import Context
from basis_pipeline.service.guard import Guard, is_this_machine
from basis_pipeline.service.problems import handle_problems
from basis_pipeline.service.routes import (
    accounts,
    backtests,
    control,
    dashboard,
    events,
    gates,
    health,
    metrics,
    runs,
)
from basis_pipeline.service.watcher import watch
from basis_pipeline.settings import Settings
from basis_pipeline.state import open_state

RESOURCES = (health, backtests, runs, gates, accounts, events, control, metrics, dashboard)
GRACE_SECONDS = 10
ABOUT = (
    "Results of the pipeline, and backtests on request. 422: the call is not valid. 409: the call "
    "is valid but cannot be executed now; the code says why. All errors have the same shape, and "
    "every answer has the header `x-correlation-id`. With BASIS_API_TOKEN set, calls that write "
    "and all calls from other machines need `Authorization: Bearer <token>`."
)


def create_app(settings: Settings) -> tuple[ASGIApp, Context]:
    """Return the application with its guard, and the context of its routes."""
    context = Context(settings, open_state(settings.redis_url), Collector())
    context.registry.register(metrics.PipelineMetrics(context))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(watch(context, uuid4().hex))
        yield
        context.stopping.set()
        await watching
        context.collector.close()
        context.state.close()

    app = FastAPI(
        title="Basis pipeline",
        version="1",
        description=ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.context = context
    handle_problems(app, settings)
    for resource in RESOURCES:
        app.include_router(resource.routes)
    return Guard(app, context), context


class _Server(uvicorn.Server):
    """A server that ends the event streams when it stops, so that it does not wait for them."""

    def __init__(self, config: uvicorn.Config, context: Context) -> None:
        super().__init__(config)
        self._context = context

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop gracefully."""
        self._context.stopping.set()
        super().handle_exit(sig, frame)


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM; calls in progress are finished.

    Raises
    ------
    CommandError: API-001 when other machines could call and no token is set.
    """
    if not is_this_machine(host) and not settings.api_token:
        what = f"{host} can be reached by other machines, and no token is set"
        action = "set BASIS_API_TOKEN, or listen on 127.0.0.1"
        raise CommandError("API-001", what, where="--host", action=action)
    POOLING.set()
    app, context = create_app(settings)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    with suppress(KeyboardInterrupt):  # uvicorn raises it again after a graceful stop
        _Server(config, context).run()
