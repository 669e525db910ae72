"""Errors in one JSON shape, each with a code of the registry."""

import re
import traceback
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from basis_pipeline.errors import BasisError, CommandError
from basis_pipeline.masking import masked_text
from basis_pipeline.service.answers import rendered
from basis_pipeline.settings import Settings

# Status of the answer by code, else by family; any other error is a fault of the platform.
STATUS = {
    "API-004": 404,
    "API-005": 422,
    "API-006": 403,
    "API-007": 413,
    "API-008": 503,
    "API-009": 500,
    "API-010": 409,
    "API-001": 422,
    "CONFIG-007": 404,
    "RS-002": 404,
}
OF_FAMILY = {"BT": 409, "CONFIG": 409, "CONFIG-MGR": 409, "EVENT": 422}
UNAVAILABLE = 503


class Problem(BaseModel):
    """An error: what happened, where, and what to do.

    context: where, available, action, document and further facts; for a call that is not valid
    also `errors`, with the path of each. stack_trace: only with BASIS_DEBUG=true.
    """

    error_code: str
    message: str
    component: str
    context: dict[str, Any]
    timestamp: datetime
    correlation_id: str
    stack_trace: str | None = Field(default=None)


def problem(
    settings: Settings,
    error: BasisError,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer to a call that failed with an error."""
    facts = {"where": error.where, "available": error.available, "action": error.action}
    facts |= {"document": error.entry.document, **error.context}
    document = {
        "error_code": error.code,
        "message": error.what,
        "component": error.component,
        "context": {name: value for name, value in facts.items() if value},
        "timestamp": error.timestamp.isoformat(timespec="microseconds"),
        "correlation_id": error.correlation_id,
    }
    if settings.debug:
        document["stack_trace"] = masked_text("".join(traceback.format_exception(error)))
    status = status or STATUS.get(error.code) or OF_FAMILY.get(error.entry.family, UNAVAILABLE)
    body = rendered(settings, document)
    return Response(body, status, dict(headers or {}), media_type="application/json")


def unexpected(error: Exception) -> BasisError:
    """Return the coded error for an unexpected exception."""
    made = CommandError("API-009", f"the call failed: {type(error).__name__}")
    made.__cause__ = error
    return made


def handle_problems(app: FastAPI, settings: Settings) -> None:
    """Answer every error of the application in the same shape."""

    @app.exception_handler(BasisError)
    async def basis_error(_: Request, error: BasisError) -> Response:
        return problem(settings, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return problem(settings, invalid_call(error.errors()))

    @app.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> Response:
        return problem(settings, unexpected(error))

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> Response:
        what = f"{request.method} {request.url.path[:200]}: {error.detail}"
        code = "API-004" if error.status_code in (404, 405) else "API-005"
        made = CommandError(code, what, component="HTTP API")
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers = {"allow": _methods(app, request)}
        return problem(settings, made, status=error.status_code, headers=headers)


def _methods(app: FastAPI, request: Request) -> str:
    """Return the methods of all routes of a path; Starlette names only those of the first."""
    found: set[str] = set()
    for path, methods in app.openapi()["paths"].items():
        pattern = re.sub(r"\{\w+\}", "[^/]+", path)
        if re.fullmatch(pattern, request.url.path):
            found |= {method.upper() for method in methods}
    return ", ".join(sorted(found))


def invalid_call(errors: Sequence[Mapping[str, Any]]) -> CommandError:
    """Return the error of a call that is not valid, with the path of every wrong field."""
    found = [
        {"path": ".".join(map(str, error["loc"])), "message": str(error["msg"])}
        for error in errors[:20]
    ]
    paths = ", ".join(f"{entry['path']}: {entry['message']}" for entry in found[:3])
    what = f"the call is not valid: {paths}"[:500]
    return CommandError("API-005", what, component="HTTP API", context={"errors": found})
