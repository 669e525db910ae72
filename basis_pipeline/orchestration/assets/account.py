"""`account/run|signals|page[account]`: an account up to the current hour, in one step.

The step first fetches the missing data of the feeds that have a source, then reads the files of the
data directory itself: its window ends at the current hour, that of the graph's datasets at the end
that the environment names.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pandas as pd

from basis_pipeline.backtests.ingest import Feeds, feeds_for
from basis_pipeline.config import Configs, slice_mode
from basis_pipeline.config.account import AccountConfig, load_account
from basis_pipeline.config.automation import load_automation_limits
from basis_pipeline.engine import ENGINE_VERSION
from basis_pipeline.errors import BasisError
from basis_pipeline.operations.accounts import AccountRun, run_account
from basis_pipeline.operations.accounts.gates import ACTIONABLE, GATES, PHASE, actionable
from basis_pipeline.operations.control import require_not_shut_down
from basis_pipeline.orchestration.assets.raw import raw_key
from basis_pipeline.orchestration.checks import check_result, check_spec
from basis_pipeline.orchestration.failures import RETRIES, coded_failures
from basis_pipeline.orchestration.groups import ACCOUNTS
from basis_pipeline.orchestration.metadata import table
from basis_pipeline.orchestration.partitions import missing_partition
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.reports.account import account_html, last_equity
from basis_pipeline.reports.page import Provenance, write_page
from basis_pipeline.settings import Settings, config_directory
from basis_pipeline.times import parse_hour

RUN, SIGNALS, PAGE = (dg.AssetKey([ACCOUNTS, name]) for name in ("run", "signals", "page"))
OWNERS = ["team:strategy"]


class AccountOptions(dg.Config):
    """The current hour, UTC, such as 2024-06-01T08:00; by default that of the clock."""

    now: str | None = None


def account_assets(configs: Configs, accounts: Sequence[str]) -> list[dg.AssetsDefinition]:
    """Return the one step of all accounts, partitioned by account; none without accounts."""
    if not accounts:
        return []
    partitions = dg.StaticPartitionsDefinition(sorted(accounts))

    @dg.multi_asset(
        name=ACCOUNTS,
        specs=_specs(configs),
        partitions_def=partitions,
        check_specs=[
            *(
                check_spec(RUN, name, severity, description, PHASE, partitions)
                for name, (severity, description) in GATES.items()
            ),
            check_spec(
                SIGNALS, ACTIONABLE, "WARN", "the gates of the account pass", PHASE, partitions
            ),
        ],
        retry_policy=RETRIES,
    )
    def account(
        context: dg.AssetExecutionContext, config: AccountOptions, options: RunOptions
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Fetch, run, signal, and write the page."""
        name = context.partition_key if context.has_partition_key else ""
        if not name:
            raise dg.Failure(str(missing_partition("account", min(accounts), ACCOUNTS)))
        now = parse_hour(config.now) if config.now else datetime.now(UTC)
        settings = options.settings
        with coded_failures():
            require_not_shut_down(settings, f"account/run[{name}]")
            wanted = load_account(config_directory(), name)
            for problem in _fetch(settings, options.configs, wanted, now):
                context.log.warning(problem)
            feeds = Feeds(options.configs, settings.data_dir)
            run = run_account(settings, feeds, wanted, now, run_id=context.run.run_id)
            page = options.reports / f"account_{name}.html"
            if run.result is not None:
                provenance = Provenance.now(context.run.run_id, settings.environment)
                write_page(page, account_html(run.view, provenance))
        yield dg.MaterializeResult(
            asset_key=RUN,
            data_version=dg.DataVersion(run.result.run_id if run.result else "none"),
            metadata=_figures(run),
            check_results=[check_result(RUN, gate) for gate in run.gates],
        )
        yield dg.MaterializeResult(
            asset_key=SIGNALS,
            metadata=_signal(run),
            check_results=[check_result(SIGNALS, actionable(run.gates))],
        )
        yield dg.MaterializeResult(asset_key=PAGE, metadata={"page": dg.MetadataValue.path(page)})

    return [account]


def _fetch(
    settings: Settings, configs: Configs, account: AccountConfig, now: datetime
) -> list[str]:
    """Fetch the missing data of the account's feeds that have a source; return the problems.

    A failure does not stop the account: the gate `fresh` reports how old a feed is.
    """
    try:
        sliced = slice_mode(configs, account.mode, account.overrides)
    except BasisError as error:
        return [str(error)]
    names = feeds_for(configs, sliced.datasets)
    wanted = [configs.datasets[name] for name in names if configs.datasets[name].source]
    if not wanted:
        return []
    # ccxt is slow to import, and no other run needs it.
    from basis_pipeline.market.fetch.feed import Request, fetch_feeds

    limits = load_automation_limits(config_directory()).fetch
    try:
        fetched = fetch_feeds(wanted, settings, limits, Request(now=now, since=account.since))
    except BasisError as error:
        return [str(error)]
    return [
        f"{one.feed}: {problem}"
        for one in fetched.values()
        for problem in (*one.warnings, one.error)
        if problem
    ]


def _figures(run: AccountRun) -> dict[str, Any]:
    """Return the figures of the page as metadata, which the UI plots over time."""
    found: dict[str, Any] = {
        "open_revisions": sum(one.is_open for one in run.revisions),
        # A feed that cannot be read has no age, and the UI cannot show infinity.
        "oldest_feed_hours": max(
            (a.age_hours for a in run.ages if a.last is not None), default=0.0
        ),
        "feeds_unreadable": sum(one.last is None for one in run.ages),
        "feeds": table(pd.DataFrame([{"feed": a.feed, "age": a.description} for a in run.ages])),
    }
    if run.result is None or run.leg is None:
        return found
    view = run.view
    found |= {"run_id": run.result.run_id, "leg": run.leg.number}
    found |= {"last_hour": f"{run.result.identity.end:%Y-%m-%dT%H:%M}Z"}
    found |= {"equity": last_equity(view.run), "today": sum(view.today.values())}
    today = {f"today_{name}": value for name, value in view.today.items()}
    return {**found, **today, "total_return": run.result.summary["total_return"]}


def _signal(run: AccountRun) -> dict[str, Any]:
    if run.signal is None:
        return {}
    signal = run.signal
    moves = [abs(d.price_move) for d in signal.distances if d.price_move is not None]
    metadata: dict[str, Any] = {
        "action": signal.action.value,
        "trigger": signal.trigger or "none",
        "orders": len(signal.orders),
        "last_hour": signal.hour.isoformat(),
        **({"nearest_price_move": min(moves)} if moves else {}),
        **{f"room_{d.name}_{d.venue}".rstrip("_"): d.room for d in signal.distances},
    }
    rows = signal.to_json()
    for name in ("orders", "positions", "distances"):
        if rows[name]:
            metadata[f"{name}_table"] = table(pd.DataFrame(rows[name]), limit=60)
    return metadata


def _specs(configs: Configs) -> list[dg.AssetSpec]:
    common: dict[str, Any] = {
        "group_name": ACCOUNTS,
        "owners": OWNERS,
        "code_version": ENGINE_VERSION,
    }
    raw = [raw_key(name) for name in configs.datasets]
    return [
        dg.AssetSpec(
            RUN,
            deps=raw,
            kinds={"numba", "parquet"},
            description=(
                "An account: the backtest of its mode from its first hour to the last full hour "
                "that all its feeds have, computed from the beginning every time. It stays at its "
                "last good hour while a feed is late, and reports the first change of its "
                "history.\n\n"
                "**Units:** the share class's currency, hours. **Source:** `configs/accounts/` and "
                "the raw files. **What is at stake:** the positions that the desk believes it "
                "holds."
            ),
            **common,
        ),
        dg.AssetSpec(
            SIGNALS,
            deps=[RUN],
            kinds={"sql"},
            description=(
                "The signal of the account at its last hour: the action, its orders, the positions "
                "before and after, the distance to every trigger. During a halt the action is "
                "`halt`.\n\n"
                "**Units:** units of the instruments, notionals in the share class's currency. "
                "**Source:** the engine, run for one more hour with unchanged prices. **What is at "
                "stake:** the orders that a person enters."
            ),
            **common,
        ),
        dg.AssetSpec(
            PAGE,
            deps=[SIGNALS],
            kinds={"html"},
            description=(
                "One page per account: what to do, equity by leg, today's result by component, the "
                "next triggers, the age of every feed, revisions.\n\n"
                "**Units:** stated beside every figure. **Source:** the account's run and signal. "
                "**What is at stake:** the page computes nothing; if it differs from its sources, "
                "the page is wrong."
            ),
            **common,
        ),
    ]
