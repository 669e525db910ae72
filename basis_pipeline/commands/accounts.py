"""`basis accounts` and `basis signals`: run modes to the present hour, and show their signals."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import (
    DataDir,
    Form,
    ResultsDir,
    open_settings,
    project_configs,
    require_data,
    settings_of,
)
from basis_pipeline.errors import CommandError
from basis_pipeline.settings import config_directory
from basis_pipeline.times import parse_hour

if TYPE_CHECKING:
    from basis_pipeline.config.account import AccountConfig
    from basis_pipeline.errors import ConfigError
    from basis_pipeline.operations.accounts import AccountRun
    from basis_pipeline.operations.accounts.signals import SignalRow

HELP = """Accounts: modes run to the present hour, as configured in configs/accounts/.

An account is the backtest of its mode from its first hour to the last one that all its feeds have.
Every run starts at the first hour, so that nothing drifts, and compares the history with that of
the run before.
"""
Names = Annotated[
    list[str] | None, typer.Option("--account", help="An account; default: all of them.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="An account.")]
COLUMNS = ("account", "leg", "last hour (UTC)", ">equity", "fresh", "history", "runs", "action")
ORDERS = ("at (UTC)", "venue", "instrument", "side", ">quantity", ">limit", ">notional", "reason")

accounts = typer.Typer(help=HELP, no_args_is_help=True)


@accounts.command()
def run(
    account: Names = None,
    now: Annotated[
        str | None, typer.Option(help="The present hour in UTC; default: that of the clock.")
    ] = None,
    form: Form = "table",
    data_dir: DataDir = None,
    results_dir: ResultsDir = None,
) -> None:
    """Run accounts to the last full hour that their feeds have, and write their pages.

    Exit code 1 when a gate of an account fails: a feed is too old, the history has changed, or data
    do not pass their checks.

    Example: basis accounts run --account btc_carry
    """
    from basis_pipeline.operations.accounts import run_accounts
    from basis_pipeline.operations.control import require_not_shut_down
    from basis_pipeline.reports.account import account_html
    from basis_pipeline.reports.page import Provenance, write_page
    from basis_pipeline.verdict import Status

    settings = settings_of(data_dir, results_dir)
    require_not_shut_down(settings, "basis accounts run")
    require_data(settings)
    wanted, broken = _chosen(account)
    present = parse_hour(now) if now else datetime.now(UTC)
    runs = run_accounts(settings, project_configs(), wanted, present)
    for one in runs:
        page = settings.results_dir / "reports" / f"account_{one.account.name}.html"
        if one.result is not None:
            provenance = Provenance.now("", settings.environment)
            write_page(page, account_html(one.view, provenance))
    if form == "json":
        print(json.dumps([_json(one) for one in runs], indent=2))
    else:
        screen.console().print(screen.table("", COLUMNS, map(_row, runs)))
        for one in runs:
            for gate in one.gates:
                if not gate.passed:
                    name = f"{one.account.name} {gate.check}"
                    screen.echo(f"{gate.status.value:4}  {name}: {gate.message}")
    for error in broken:
        screen.echo_error(error)
    if broken or any(gate.status is Status.FAIL for one in runs for gate in one.gates):
        raise typer.Exit(1)


@accounts.command()
def accept(
    name: Name,
    by: Annotated[str, typer.Option(help="Who accepts it.")],
    reason: Annotated[str, typer.Option(help="Why; it is stored and audited.")],
    results_dir: ResultsDir = None,
) -> None:
    """Accept every open revision of an account's history.

    Example: basis accounts accept btc_carry --by ann --reason "binance corrected the bar"
    """
    from basis_pipeline.config.account import load_account
    from basis_pipeline.operations.accounts import AccountFiles

    account = load_account(config_directory(), name)
    settings = open_settings("basis accounts accept", results_dir)
    accepted = AccountFiles(settings, account.name).accept(by=by, reason=reason)
    for revision in accepted:
        screen.echo(f"Accepted: {revision.description}")
    if not accepted:
        screen.echo("Nothing to accept: no revision is open.")


@accounts.command()
def compare(
    name: Name,
    positions: Annotated[
        Path, typer.Option(help="Positions held: CSV with position,quantity, or a JSON object.")
    ],
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="Tolerated difference, as a share of a quantity.")
    ] = 1e-3,
    form: Form = "table",
    results_dir: ResultsDir = None,
) -> None:
    """Compare an account with the positions actually held. Exit code 1 when they differ.

    Example: basis accounts compare btc_carry --positions held.csv
    """
    from basis_pipeline.config.account import load_account
    from basis_pipeline.operations.accounts import AccountFiles
    from basis_pipeline.operations.accounts.reconcile import compare_positions, read_positions

    account = load_account(config_directory(), name)
    held, files = read_positions(positions), AccountFiles(settings_of(None, results_dir), name)
    verdict = compare_positions(files, held, tolerance)
    if form == "json":
        print(json.dumps(verdict.to_json(), indent=2))
    else:
        screen.echo(f"{verdict.status.value}  {account.name}: {verdict.message}")
        if verdict.rows:
            columns = ("position", ">account", ">held", ">difference")
            rows = [
                [row["position"], *(f"{row[name[1:]]:.8g}" for name in columns[1:])]
                for row in verdict.rows
            ]
            screen.console().print(screen.table("Differences", columns, rows))
    if not verdict.passed:
        raise typer.Exit(1)


def signals(account: Names = None, form: Form = "table", results_dir: ResultsDir = None) -> None:
    """Show the signal of each account at its last hour: action, orders, distance to each trigger.

    Example: basis signals --account btc_carry --format json
    """
    from basis_pipeline.operations.accounts.signals import latest_signals

    wanted, broken = _chosen(account)
    names = [one.name for one in wanted]
    rows = [row for row in latest_signals(settings_of(None, results_dir)) if row.account in names]
    if form == "json":
        print(json.dumps([json.loads(row.content) for row in rows], indent=2))
    else:
        if not rows:
            screen.echo("No account has a signal yet: basis accounts run")
        for row in rows:
            _show(row)
    for error in broken:
        screen.echo_error(error)
    if broken:
        raise typer.Exit(1)


def _show(row: "SignalRow") -> None:
    signal = json.loads(row.content)
    why = f" ({signal['trigger']})" if signal["trigger"] else ""
    hour = f"{row.hour:%Y-%m-%d %H:%M} UTC"
    screen.echo(f"{row.account} at {hour}, leg {row.leg}: {signal['action']}{why}")
    if signal["orders"]:
        screen.console().print(screen.table("Orders", ORDERS, map(_order, signal["orders"])))
    rows = [
        [key["key"], *(f"{round(key[name], 9) + 0.0:.8g}" for name in ("current", "target"))]
        for key in signal["positions"]
    ]
    screen.console().print(screen.table("Positions", ("position", ">current", ">target"), rows))
    distances = [
        [
            " ".join(filter(None, (one["name"], one["venue"]))),
            f"{round(one['value'], 9) + 0.0:.6g}",
            *(screen.DASH if one[b] is None else f"{one[b]:.6g}" for b in ("low", "high")),
            f"{one['room']:.6g}",
            screen.percent(one["price_move"]),
        ]
        for one in signal["distances"]
    ]
    columns = ("trigger", ">value", ">low", ">high", ">room", ">price move to trigger")
    screen.console().print(screen.table("Distances", columns, distances))


def _order(order: dict[str, Any]) -> list[str]:
    return [
        f"{datetime.fromisoformat(order['at']):%Y-%m-%d %H:%M}",
        *(order[name] for name in ("venue", "instrument", "side")),
        f"{order['quantity']:.8g}",
        *(screen.number(order[name]) for name in ("limit_price", "notional")),
        order["reason"],
    ]


def _chosen(names: Sequence[str] | None) -> "tuple[list[AccountConfig], list[ConfigError]]":
    """Return the accounts named, or all of them, with the errors of broken files.

    Raises
    ------
    ConfigError: an account that is named is broken or does not exist.
    CommandError: API-001 when there is no account at all.
    """
    from basis_pipeline.config.account import load_account, load_accounts

    directory = config_directory()
    if names:
        return [load_account(directory, name) for name in dict.fromkeys(names)], []
    sound, broken = load_accounts(directory)
    if not sound and not broken:
        what = "no account is configured"
        where = str(directory / "accounts")
        raise CommandError("API-001", what, where=where, action="add a file for one there")
    return list(sound.values()), list(broken.values())


def _row(run: "AccountRun") -> list[str]:
    statuses = [gate.status.value for gate in run.gates]
    if run.result is None or run.leg is None:
        return [run.account.name, screen.DASH, screen.DASH, screen.DASH, *statuses, screen.DASH]
    equity = screen.number(run.result.summary["final_equity"])
    hour = f"{run.result.identity.end:%Y-%m-%d %H:%M}"
    action = run.signal.action.value if run.signal else screen.DASH
    return [run.account.name, str(run.leg.number), hour, equity, *statuses, action]


def _json(run: "AccountRun") -> dict[str, Any]:
    result = run.result
    return {
        "account": run.account.name,
        "now": run.now.isoformat(),
        "leg": run.leg.number if run.leg else None,
        "hour": result.identity.end.isoformat() if result else None,
        "equity": result.summary["final_equity"] if result else None,
        "run_id": result.run_id if result else None,
        "gates": [gate.to_json() for gate in run.gates],
        "feeds": [{**asdict(one), "stale": one.is_stale} for one in run.ages],
        "revisions": [asdict(one) for one in run.revisions],
        "signal": run.signal.to_json() if run.signal else None,
    }
