"""The dashboard: one page, whose parts are fetched again when events and snapshots arrive."""

from collections import Counter
from collections.abc import Callable
from importlib.resources import files
from typing import Any, Literal

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from jinja2 import ChoiceLoader, PackageLoader
from markupsafe import Markup
from pydantic import ValidationError

from basis_pipeline.config.automation import AlertKind
from basis_pipeline.operations.audit_log import Category, EventType
from basis_pipeline.operations.requests.queue import counts, page
from basis_pipeline.reports.chart import bars, horizontal_bars
from basis_pipeline.reports.gates import phase_name
from basis_pipeline.reports.page import TEMPLATES, Provenance
from basis_pipeline.reports.plot_theme import DARK, LIGHT, custom_properties
from basis_pipeline.reports.table import Link, Table
from basis_pipeline.results.database.migration import existing
from basis_pipeline.results.database.runs import runs
from basis_pipeline.results.definitions import DASH, amount, percent
from basis_pipeline.service.answers import without_paths
from basis_pipeline.service.context import Context, Shared
from basis_pipeline.service.forms import EventFilters
from basis_pipeline.service.routes.accounts import gates_of, overview, signals
from basis_pipeline.service.routes.control import control_document
from basis_pipeline.service.routes.events import logged
from basis_pipeline.service.routes.health import health_document, latencies
from basis_pipeline.verdict import WORST_FIRST, Status

routes = APIRouter(include_in_schema=False)
PAGES = TEMPLATES.overlay(
    loader=ChoiceLoader(
        [PackageLoader(f"basis_pipeline.{name}") for name in ("service", "reports")]
    ),
    auto_reload=False,
)
SHOWN = 20
SLOWEST = 12
DAY = "1d"
FAILING = ("FAIL", "BLOCKED")
WITHOUT_SNAPSHOT = ("control", "events")  # parts that need none
NO_SNAPSHOT = Markup('<p class="aside">The first snapshot is being collected.</p>')
SCRIPT, HTML = "text/javascript; charset=utf-8", "text/html; charset=utf-8"
Name = Literal["control", "services", "accounts", "backtests", "gates", "latency", "events"]


@routes.get("/")
def dashboard(request: Request, context: Shared) -> Response:
    """Show the page with all its parts."""
    parts = {name: _part(name, request, context) for name in SECTIONS}
    return _page(
        context,
        "dashboard.html.j2",
        sections=parts,
        types=[*EventType, *AlertKind],
        categories=list(Category),
        given={**dict.fromkeys(EventFilters.model_fields, ""), **request.query_params},
    )


@routes.get("/sections/{name}")
def section(request: Request, context: Shared, name: Name) -> Response:
    """Show one part, which replaces the one on the page."""
    return _html(context, _part(name, request, context))


@routes.get("/docs")
def documentation(request: Request, context: Shared) -> Response:
    """Show every call of the API, from its OpenAPI document."""
    return _page(context, "docs.html.j2", document=request.app.openapi())


@routes.get("/favicon.ico")
def icon() -> Response:
    """Return no icon, for browsers that request one."""
    return Response(status_code=204)


@routes.get("/static/dashboard.js")
def script() -> Response:
    """Return the script of the page."""
    content = files("basis_pipeline.service").joinpath("static", "dashboard.js").read_bytes()
    return Response(content, media_type=SCRIPT, headers={"cache-control": "no-cache"})


@routes.get("/static/plotly.js")
def plotly() -> Response:
    """Return the chart library."""
    content = files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    return Response(content, media_type=SCRIPT, headers={"cache-control": "max-age=86400"})


def _page(context: Context, template: str, **values: Any) -> Response:
    provenance = Provenance.now(environment=context.settings.environment)
    colours = {"light": LIGHT, "dark": DARK}
    schemes = {name: Markup(custom_properties(scheme)) for name, scheme in colours.items()}
    made = PAGES.get_template(template)
    return _html(context, made.render(plotly="", provenance=provenance, **schemes, **values))


def _html(context: Context, text: str) -> Response:
    body = without_paths(context.settings, text.encode())
    return Response(body, media_type=HTML, headers={"cache-control": "no-store"})


def _part(name: str, request: Request, context: Context) -> Markup:
    """Return a part, rendered again only when its content has changed."""
    if name not in WITHOUT_SNAPSHOT and not context.has_snapshot:
        return NO_SNAPSHOT
    values = SECTIONS[name](context, request)
    content = orjson.dumps(values, default=repr)
    shown, markup = context.rendered.get(name, (b"", Markup()))
    if shown != content:
        template = "tables" if "tables" in values else name
        markup = Markup(PAGES.get_template(f"{template}.html.j2").render(**values))
        context.rendered[name] = content, markup
    return markup


def _control(context: Context, _: Request) -> dict[str, Any]:
    document = control_document(context)
    rows = [
        (_at(change["at"]), change["previous"], change["state"], change["by"], change["reason"])
        for change in document["changes"]
    ]
    changes = Table(("at (UTC)", "from", "to", "by", "~why"), rows, "Changes", folded=True)
    return {"control": document, "changes": changes}


def _services(context: Context, _: Request) -> dict[str, Any]:
    health = health_document(context)
    services = [{**service, "last_check": ""} for service in health["services"]]  # not shown
    return {"health": {**health, "services": services}}


def _accounts(context: Context, _: Request) -> dict[str, Any]:
    latest = {signal["account"]: signal for signal in signals(context)}
    rows, orders = [], []
    for one in overview(context):
        statuses = [Status(gate["status"]) for gate in gates_of(context, one["account"])]
        verdict = min(statuses, key=WORST_FIRST.index, default=Status.NOT_RUN).value
        signal = latest.get(one["account"])
        row = [one["account"], one["mode"] or "", str(one["leg"] or DASH), _at(one["hour"] or DASH)]
        row += [amount(one["equity"]), percent(one["apy"])]
        to_do = f"{signal['action']} {signal['trigger']}".strip() if signal else ""
        rows.append((*row, verdict, _short(one["error"] or to_do)))
        for order in signal["orders"] if signal else ():
            words = (order[name] for name in ("venue", "instrument", "side"))
            figures = (f"{order['quantity']:,.6g}", amount(order["notional"]))
            orders.append((one["account"], _at(order["at"]), *words, *figures, order["reason"]))
    titles = ("account", "mode", ">leg", "last hour (UTC)", ">equity", ">APY", "verdict")
    accounts = Table((*titles, "~to do"), rows, "Accounts")
    titles = ("account", "at (UTC)", "venue", "instrument", "side", ">quantity", ">notional")
    due = Table((*titles, "~reason"), orders, "Orders of the latest signals")
    return {"tables": (accounts, due)}


def _latency(context: Context, _: Request) -> dict[str, Any]:
    found: dict[str, Any] = context.derived("latency", lambda: _slowest(latencies(context, DAY)))
    return found


def _slowest(operations: list[dict[str, Any]]) -> dict[str, Any]:
    found = operations[:SLOWEST]
    names = [entry["operation"] for entry in found]
    series = (("p50", "series-0"), ("p95", "series-1"), ("p99", "series-4"))
    drawn = [
        bars(name, names, [entry[name] for entry in found], colour, "%{x:.2f} s")
        for name, colour in series
    ]
    figure = horizontal_bars(drawn, xaxis={"title": {"text": "seconds"}})
    what = "Duration of the slowest operations of pipeline runs in the last day, in seconds."
    chart = {"title": "Latency of operations", "meaning": what, "height": 120 + 46 * len(found)}
    rows = [
        (
            entry["operation"],
            str(entry["count"]),
            *(f"{entry[name]:.2f}" for name, _ in series),
            f"{100.0 * entry['error_rate']:.0f} %",
            entry["trend"],
        )
        for entry in found
    ]
    titles = ("operation", ">count", ">p50 s", ">p95 s", ">p99 s", ">errors", "trend")
    table = Table(titles, rows, "Operations of the last day", folded=True)
    return {"chart": chart, "table": table, "figure": figure.to_json(), "any": bool(found)}


def _backtests(context: Context, _: Request) -> dict[str, Any]:
    requested = [
        (
            str(served.sequence),
            served.request.request_id,
            served.request.mode,
            served.status.value,
            Link(served.run_id, f"/runs/{served.run_id}") if served.run_id else "",
            _short(served.message),
        )
        for served in page(context.settings, limit=SHOWN)
    ]
    titles = ("number", "request", "mode", "state", "result", "~message")
    requests = Table(titles, requested, "Requests, the latest first")
    engine = existing(context.settings.results_db_url)
    rows = [
        (
            Link(row.run_id, f"/runs/{row.run_id}"),
            row.mode,
            f"{row.created_at:%Y-%m-%d %H:%M}",
            amount(row.final_equity),
            percent(row.apy),
            percent(row.max_drawdown),
        )
        for row in (runs(engine, limit=SHOWN)[::-1] if engine else [])
    ]
    titles = ("run", "mode", "recorded (UTC)", ">equity", ">APY", ">drawdown")
    recorded = Table(titles, rows, "Recorded runs, the latest first")
    queue = {status.value: count for status, count in counts(context.settings).items()}
    states = {name: count for name, count in context.part("runs").items() if count}
    return {"queue": queue, "states": states, "requests": requests, "runs": recorded}


def _gates(context: Context, _: Request) -> dict[str, Any]:
    tables = context.derived("gate tables", lambda: _gate_tables(context.part("gates")))
    return {"tables": tables}


def _gate_tables(gates: list[dict[str, Any]]) -> tuple[Table, ...]:
    phases = {
        phase: Counter(gate["status"] for gate in gates if gate["phase"] == phase)
        for phase in sorted({gate["phase"] for gate in gates})
    }
    words = [status.value for status in WORST_FIRST]
    rows = [
        (phase_name(phase), next(w for w in words if count[w]), *(str(count[w]) for w in words))
        for phase, count in phases.items()
    ]
    overview = Table(("phase", "verdict", *(f">{w}" for w in words)), rows, "Gates by phase")
    changed = [(g["name"], g["before"], g["status"], g["message"]) for g in gates if g["before"]]
    titles = ("gate", "a day ago", "verdict", "~message")
    changes = Table(titles, changed, "Changed since yesterday")
    red = [(g["name"], g["status"], g["message"]) for g in gates if g["status"] in FAILING]
    failing = Table(("gate", "verdict", "~message"), red[:SHOWN], "Failing")
    return overview, changes, failing


def _events(context: Context, request: Request) -> dict[str, Any]:
    given = {name: request.query_params.getlist(name) for name in EventFilters.model_fields}
    values: dict[str, Any] = {"limit": SHOWN}
    for name, texts in given.items():
        if texts := [text for text in texts if text]:
            values[name] = texts if name in ("type", "category") else texts[0]
    try:
        filters = EventFilters.model_validate(values)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None
    rows = [
        (
            _at(event["at"]),
            event["level"],
            event["type"],
            event["mode"],
            event["run_id"][:8],
            event["component"],
            _short(
                ", ".join(
                    f"{name} {value}" for name, value in event["fields"].items() if value != ""
                )
            ),
        )
        for event in reversed(logged(context, filters))
    ]
    titles = ("at (UTC)", "level", "type", "mode", "run", "component", "~fields")
    return {"tables": (Table(titles, rows, "Events, the latest first"),)}


def _at(text: str) -> str:
    return text[:19].replace("T", " ")


def _short(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:160]}…"


SECTIONS: dict[str, Callable[[Context, Request], dict[str, Any]]] = {
    "control": _control,
    "services": _services,
    "accounts": _accounts,
    "backtests": _backtests,
    "gates": _gates,
    "latency": _latency,
    "events": _events,
}
