"""Backtest requests: put them into the queue, cancel them, and read their results."""

from typing import Annotated, Any
from uuid import uuid4

from fastapi import Header, Path, Query, Request, Response

from basis_pipeline.config.current import current_configs
from basis_pipeline.errors import CommandError
from basis_pipeline.operations.requests import BacktestRequest, Served, Status, submit
from basis_pipeline.operations.requests.model import RequestId
from basis_pipeline.operations.requests.queue import ahead_of, cancel, page, request_named
from basis_pipeline.service.answers import answer
from basis_pipeline.service.context import Context, Shared
from basis_pipeline.service.forms import BacktestFilters, NewBacktest, TableFilters, TableName
from basis_pipeline.service.routes import router
from basis_pipeline.service.routes.runs import TABLE, run_summary, run_table, run_verdicts

routes = router("backtests")
OPEN = (Status.QUEUED, Status.RUNNING)
Id = Annotated[RequestId, Path()]
FINISHED_TTL = 3600.0


@routes.post("/backtests", status_code=202)
def request_backtest(
    request: Request,
    context: Shared,
    body: NewBacktest,
    key: Annotated[RequestId | None, Header(alias="Idempotency-Key")] = None,
) -> Response:
    """Queue a backtest; the answer has its id. The same key with the same content is one request.

    409: work is halted, the key belongs to another request, or mode or window do not allow it.
    """
    values = body.model_dump() | {"request_id": key or uuid4().hex}
    served = submit(context.settings, BacktestRequest.model_validate(values), current_configs())
    made = answer(request, _document(context, served), 202)
    made.headers["location"] = f"/backtests/{served.request.request_id}"
    return made


@routes.get("/backtests")
def list_backtests(
    request: Request, context: Shared, filters: Annotated[BacktestFilters, Query()]
) -> Response:
    """List requests, the latest first, a page at a time."""
    found = page(
        context.settings,
        statuses=[filters.status] if filters.status else (),
        mode=filters.mode,
        since=filters.since,
        before=filters.before,
        limit=filters.limit,
    )
    following = found[-1].sequence if len(found) == filters.limit else None
    entries = [served.to_json() for served in found]
    return answer(request, {"backtests": entries, "before": following})


@routes.get("/backtests/{id}")
def show_backtest(request: Request, context: Shared, id: Id) -> Response:  # noqa: A002
    """Show a request: its state, and while it is open the number of requests ahead of it."""
    return answer(request, _found(context, id))


@routes.delete("/backtests/{id}")
def cancel_backtest(request: Request, context: Shared, id: Id) -> Response:  # noqa: A002
    """Cancel a queued request. 409: it is running or finished."""
    served = cancel(context.settings, id)
    if served is None:
        raise _unknown(id)
    if served.status is not Status.CANCELED:
        what = f"the request {id} is {served.status.value}: only a queued one can be canceled"
        raise CommandError("API-010", what)
    return answer(request, _document(context, served))


@routes.get("/backtests/{id}/result")
def show_result(request: Request, context: Shared, id: Id) -> Response:  # noqa: A002
    """Show the summary of the request's run. 409: the request has no result."""
    return answer(request, run_summary(context, _run_of(context, id)))


@routes.get("/backtests/{id}/verdicts")
def show_verdicts(request: Request, context: Shared, id: Id) -> Response:  # noqa: A002
    """Show the verdicts of the run's gates."""
    return answer(request, {"verdicts": run_verdicts(context, _run_of(context, id))})


@routes.get("/backtests/{id}/tables/{name}", responses=TABLE)
def show_table(
    request: Request,
    context: Shared,
    id: Id,  # noqa: A002
    name: TableName,
    filters: Annotated[TableFilters, Query()],
) -> Response:
    """Return a table of the run, as JSON by column, as CSV or as Parquet."""
    return run_table(request, context, _run_of(context, id), name, filters)


def _found(context: Context, request_id: str) -> dict[str, Any]:
    """Return a request; the state caches finished ones."""
    key = f"request:{request_id}"
    if found := context.state.get(key):
        context.lookups.labels("hit").inc()
        return dict(found)
    context.lookups.labels("miss").inc()
    if (served := request_named(context.settings, request_id)) is None:
        raise _unknown(request_id)
    document = _document(context, served)
    if served.status not in OPEN:
        context.state.set(key, document, FINISHED_TTL)
    return document


def _run_of(context: Context, request_id: str) -> str:
    found = _found(context, request_id)
    if not found["run_id"]:
        why = f": {found['message']}" if found["message"] else ""
        what = f"the request {request_id} is {found['status']}, it has no result{why}"
        raise CommandError("API-010", what)
    return str(found["run_id"])


def _unknown(request_id: str) -> CommandError:
    return CommandError("API-004", f"there is no request {request_id}")


def _document(context: Context, served: Served) -> dict[str, Any]:
    is_open = served.status in OPEN
    ahead = ahead_of(context.settings, served.sequence) if is_open else 0
    done = {Status.QUEUED: 0.0, Status.RUNNING: 0.5}.get(served.status, 1.0)
    return {**served.to_json(), "progress": {"ahead": ahead, "done": done}}
