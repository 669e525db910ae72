"""Accounts: their figures, their latest signals and their earlier ones."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import Path, Query, Request, Response

from basis_pipeline.config.account import AccountConfig, load_account, load_accounts
from basis_pipeline.errors import BasisError
from basis_pipeline.operations.accounts import AccountFiles
from basis_pipeline.operations.accounts.gates import ASSET
from basis_pipeline.operations.accounts.signals import SignalRow, latest_signals, signal_history
from basis_pipeline.results.store import SUMMARY
from basis_pipeline.service.answers import answer
from basis_pipeline.service.context import ACCOUNTS, Context, Shared
from basis_pipeline.service.forms import AccountFilters, Name, SignalFilters
from basis_pipeline.service.routes import router
from basis_pipeline.settings import Settings, config_directory

routes = router("accounts")
Account = Annotated[Name, Path()]
CACHED = 50  # latest signals of an account in the state
TTL = 15.0  # seconds; a run of an account invalidates them earlier


@routes.get("/accounts")
def list_accounts(
    request: Request, context: Shared, filters: Annotated[AccountFilters, Query()]
) -> Response:
    """List accounts with equity and APY of their current leg, at their last hour."""
    return answer(request, {"accounts": _since(overview(context), filters.since)})


@routes.get("/accounts/{name}")
def show_account(request: Request, context: Shared, name: Account) -> Response:
    """Show an account: its legs, its gates, its revisions and its latest signal."""
    account, files = load_account(config_directory(), name), AccountFiles(context.settings, name)
    document = _figures(context.settings, account)
    document["gates"] = gates_of(context, name)
    document["legs"] = [asdict(leg) for leg in files.legs()]
    document["revisions"] = [asdict(revision) for revision in files.revisions()]
    latest = [signal for signal in signals(context) if signal["account"] == name]
    return answer(request, document | {"signal": latest[0] if latest else None})


@routes.get("/signals")
def list_signals(
    request: Request, context: Shared, filters: Annotated[AccountFilters, Query()]
) -> Response:
    """Show the latest signal of every account: the action, its orders, positions and distances."""
    return answer(request, {"signals": _since(signals(context), filters.since)})


@routes.get("/accounts/{name}/signals")
def list_history(
    request: Request,
    context: Shared,
    name: Account,
    filters: Annotated[SignalFilters, Query()],
) -> Response:
    """List the signals of an account, the latest first; `before` gets the next page."""
    load_account(config_directory(), name)

    def load(limit: int = CACHED) -> list[dict[str, Any]]:
        wanted = filters.model_copy(update={"limit": limit})
        return list(map(_signal, signal_history(context.settings, name, **dict(wanted))))

    is_cached = filters.since is filters.before is None and filters.limit <= CACHED
    key = f"{ACCOUNTS}{name}:signals"
    found = context.cached(key, load, TTL)[: filters.limit] if is_cached else load(filters.limit)
    following = found[-1]["hour"] if len(found) == filters.limit else None
    return answer(request, {"signals": found, "before": following})


def overview(context: Context) -> list[dict[str, Any]]:
    """Return the figures of each account, or the error of one that cannot be read."""

    def load() -> list[dict[str, Any]]:
        sound, broken = load_accounts(config_directory())
        found = [_figures(context.settings, account) for account in sound.values()]
        return found + [{**EMPTY, "account": name, "error": str(e)} for name, e in broken.items()]

    found: list[dict[str, Any]] = context.cached(f"{ACCOUNTS}overview", load, TTL)
    return found


def signals(context: Context) -> list[dict[str, Any]]:
    """Return the latest signal of every account."""

    def load() -> list[dict[str, Any]]:
        return list(map(_signal, latest_signals(context.settings)))

    found: list[dict[str, Any]] = context.cached(f"{ACCOUNTS}signals", load, TTL)
    return found


def gates_of(context: Context, name: str) -> list[dict[str, Any]]:
    """Return the latest verdicts of the account's own gates."""
    return [
        gate for gate in context.part("gates") if (gate["asset"], gate["mode"]) == (ASSET, name)
    ]


EMPTY: dict[str, Any] = dict.fromkeys(
    ("account", "description", "mode", "capital", "since", "leg", "hour", "equity", "apy")
) | {"run_id": "", "open_revisions": 0, "error": ""}


def _figures(settings: Settings, account: AccountConfig) -> dict[str, Any]:
    """Return the figures of an account's current leg; None before its first run."""
    found = EMPTY | {"account": account.name, "description": account.description}
    found |= {"mode": account.mode, "capital": account.capital, "since": account.since.isoformat()}
    files = AccountFiles(settings, account.name)
    try:
        found["open_revisions"] = sum(revision.is_open for revision in files.revisions())
        if legs := files.legs():
            found["leg"] = legs[-1].number
            file = files.run_directory(legs[-1].number) / SUMMARY
            summary = orjson.loads(file.read_bytes())
            found |= {"equity": summary["final_equity"], "apy": summary["apy"]}
            found |= {"hour": summary["identity"]["end"], "run_id": summary["run_id"]}
    except FileNotFoundError:  # the first run of the leg is being written
        pass
    except (BasisError, OSError, ValueError) as error:
        found["error"] = str(error)
    return found


def _signal(row: SignalRow) -> dict[str, Any]:
    content = {**orjson.loads(row.content), "made_at": row.made_at.isoformat()}
    return content | {"hour": row.hour.isoformat()}


def _since(rows: list[dict[str, Any]], since: datetime | None) -> list[dict[str, Any]]:
    """Return the rows at or after `since`."""
    if since is None:
        return rows
    return [row for row in rows if row["hour"] and datetime.fromisoformat(row["hour"]) >= since]
