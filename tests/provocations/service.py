"""Failures of the HTTP API, as a caller meets them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from basis_pipeline.results.database.connection import connect, writing
from basis_pipeline.results.database.migration import migrate
from basis_pipeline.service import guard
from basis_pipeline.service.app import create_app
from basis_pipeline.service.context import Context
from basis_pipeline.settings import load_settings

Call = Callable[[TestClient, Context], httpx.Response]
LENDING = {"json": {"mode": "pure_lending"}}


def of(call: Call, client: str = "127.0.0.1") -> Callable[[Path], str]:
    """The code that a call is answered with."""

    def provoke(place: Path) -> str:
        app, context = create_app(load_settings({}, results_dir=place / "results"))
        with TestClient(app, "http://127.0.0.1", client=(client, 1)) as api:
            return str(call(api, context).json()["error_code"])

    return provoke


def slow(api: TestClient, context: Context) -> httpx.Response:
    """A database that another holds."""
    engine = connect(context.settings.results_db_url)
    migrate(engine)
    with pytest.MonkeyPatch.context() as patch, writing(engine):
        patch.setattr(guard, "SECONDS", 0.3)
        return api.post("/backtests", **LENDING)


def broken(api: TestClient, context: Context) -> httpx.Response:
    """A part of the service that is not what it should be."""
    context.lookups = None  # type: ignore[assignment]
    return api.get("/gates")


def early(api: TestClient, _: Context) -> httpx.Response:
    """A result asked for before it is there."""
    made: dict[str, Any] = api.post("/backtests", **LENDING).json()
    return api.get(f"/backtests/{made['request']['request_id']}/result")


PROVOCATIONS = {
    "API-004": of(lambda api, _: api.get("/nothing")),
    "API-005": of(lambda api, _: api.post("/backtests", json={"mood": "pure_lending"})),
    "API-006": of(lambda api, _: api.get("/runs"), client="192.0.2.7"),
    "API-007": of(lambda api, _: api.post("/backtests", content=b" " * 1_000_001)),
    "API-008": of(slow),
    "API-009": of(broken),
    "API-010": of(early),
}
