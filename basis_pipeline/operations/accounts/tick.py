"""One tick of an account: run its leg, compare with its last run, record, and signal."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pandas as pd

from basis_pipeline.backtests.benchmarks import benchmark_names
from basis_pipeline.backtests.history import COMPARED, first_change, market_series
from basis_pipeline.backtests.ingest import Feeds
from basis_pipeline.backtests.judged import JudgedRun, judged_slice
from basis_pipeline.backtests.signals import Signal, signal_of
from basis_pipeline.config import Configs, ModeSlice, slice_mode
from basis_pipeline.config.account import AccountConfig
from basis_pipeline.errors import BasisError, ConfigError
from basis_pipeline.files import sha256
from basis_pipeline.market.freshness import Freshness
from basis_pipeline.market.window import Window
from basis_pipeline.operations.accounts.files import AccountFiles, Leg, Revision
from basis_pipeline.operations.accounts.gates import ASSET, fresh, history_unchanged, sound
from basis_pipeline.operations.accounts.signals import last_signal, record_signal
from basis_pipeline.reports.account import AccountView
from basis_pipeline.results.store import RunResult
from basis_pipeline.settings import Settings
from basis_pipeline.times import HOUR_NS
from basis_pipeline.verdict import Verdict


@dataclass(frozen=True, slots=True)
class AccountRun:
    """The result of a tick of an account.

    Parameters
    ----------
    now: UTC, the present hour. ages: of its feeds, the oldest first.
    leg, result: the latest, made now or before; None before the first run.
    signal: at the result's last hour; None unless a run was made now.
    verdicts: of the account's gates and, for a run made now, of its data and its result.
    earlier: number and latest run of earlier legs. error: why no run was made now.
    """

    account: AccountConfig
    now: datetime
    ages: Sequence[Freshness] = ()
    leg: Leg | None = None
    result: RunResult | None = None
    signal: Signal | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    revisions: list[Revision] = field(default_factory=list)
    earlier: list[tuple[int, RunResult]] = field(default_factory=list)
    error: BasisError | None = None

    @property
    def gates(self) -> list[Verdict]:
        """The account's own gates."""
        return [verdict for verdict in self.verdicts if verdict.asset == ASSET]

    @property
    def view(self) -> AccountView:
        """The content of its page; there must be a result."""
        assert self.leg is not None
        assert self.result is not None
        return AccountView(
            name=self.account.name,
            description=self.account.description,
            now=self.now,
            legs=[*self.earlier, (self.leg.number, self.result)],
            gates=self.gates,
            signal=self.signal.to_json() if self.signal else None,
            revisions=[asdict(one) for one in self.revisions],
            ages=self.ages,
        )


def run_accounts(
    settings: Settings,
    configs: Configs,
    accounts: Iterable[AccountConfig],
    now: datetime,
    *,
    run_id: str = "",
) -> list[AccountRun]:
    """Run accounts to the present hour; they share feeds, and a failure stops no other account."""
    feeds = Feeds(configs, settings.data_dir)
    return [run_account(settings, feeds, account, now, run_id=run_id) for account in accounts]


def run_account(
    settings: Settings, feeds: Feeds, account: AccountConfig, now: datetime, *, run_id: str = ""
) -> AccountRun:
    """Run one account to the last full hour that all its feeds have, and record the result.

    Parameters
    ----------
    now: UTC; its full hour is the present one. run_id: the Dagster run.

    Raises
    ------
    ResultsError: the directory of the account or the results database cannot be used.
    """
    files = AccountFiles(settings, account.name)
    present = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    tick = AccountRun(account, present)
    with files.lock():
        try:
            sliced = _slice(feeds.configs, account)
            ages = _ages(feeds, sliced, sliced.datasets, present)
            tick = replace(tick, ages=ages)
            files.record_stale({one.feed: one.description for one in ages if one.is_stale})
            if (made := _run(files, feeds, account, sliced, ages, run_id)) is not None:
                tick = _record(files, tick, *made)
        except BasisError as error:
            tick = replace(tick, error=error)
        return _judged(files, tick, run_id)


def _slice(configs: Configs, account: AccountConfig, flows: Sequence[Any] = ()) -> ModeSlice:
    """Return the slice of the account's mode with its overrides and these flows."""
    moved = [{"date": flow.date.isoformat(), "amount": flow.amount} for flow in flows]
    return slice_mode(configs, account.mode, {**account.overrides, "flows": moved})


def _run(
    files: AccountFiles,
    feeds: Feeds,
    account: AccountConfig,
    sliced: ModeSlice,
    ages: Sequence[Freshness],
    run_id: str,
) -> tuple[Leg, RunResult | None, ModeSlice, JudgedRun] | None:
    """Run the account's leg; return the leg, its previous run, the slice and the new run.

    None where the feeds do not reach the end of the previous run.
    """
    if (hour := _last_hour(ages)) is None:
        return None
    leg, before = _leg(files, account, sliced)
    if hour <= leg.start or (before is not None and hour < before.identity.end):
        return None
    mine = [
        flow
        for flow in account.flows
        if leg.start <= flow.date <= hour and (leg.number == 1 or flow.date > leg.start)
    ]
    sliced = _slice(feeds.configs, account, mine)
    benchmarks = benchmark_names(sliced, feeds.configs)
    window = Window(pd.Timestamp(leg.start), pd.Timestamp(hour))
    judged = judged_slice(sliced, feeds, window, leg.capital, benchmarks, run_id=run_id)
    return leg, before, sliced, judged


def _ages(
    feeds: Feeds, sliced: ModeSlice, names: Collection[str], present: datetime
) -> list[Freshness]:
    mode = sliced.mode
    accruing = {mode.lending.token} if mode.allocation.lending > 0.0 else set()
    accruing |= {mode.staking.lst, sliced.debt_token} if mode.is_leveraged else set()
    return feeds.ages(names, _nanoseconds(present), accruing)


def _last_hour(ages: Sequence[Freshness]) -> datetime | None:
    reached = [one.last for one in ages]
    if not reached or any(last is None for last in reached):
        return None
    last = min(one for one in reached if one is not None)
    return pd.Timestamp(last, tz="UTC").to_pydatetime()


def _leg(
    files: AccountFiles, account: AccountConfig, sliced: ModeSlice
) -> tuple[Leg, RunResult | None]:
    """Return the leg to run, and its latest run: a new leg when the configuration has changed.

    A new leg starts at the last hour of the one before, with its equity after closing.
    """
    legs, wanted = files.legs(), sliced.trading_hash
    if not legs:
        return Leg(1, account.since, account.capital, wanted), None
    first, last = legs[0], legs[-1]
    if (first.start, first.capital) != (account.since, account.capital):
        raise ConfigError(
            "CONFIG-006",
            f"since and capital of the account {account.name} are {account.since:%Y-%m-%d %H:%M} "
            f"and {account.capital:g}, but it has begun",
            where=f"accounts/{account.name}.yaml",
            available=f"{first.start:%Y-%m-%d %H:%M} and {first.capital:g}",
            action="give a new account another name, or enter a flow",
        )
    before = files.run(last.number, COMPARED)
    if last.config_hash == wanted or before is None:
        return last, before
    capital = float(before.summary["closed_equity"])
    return Leg(last.number + 1, before.identity.end, capital, wanted), None


def _record(
    files: AccountFiles,
    tick: AccountRun,
    leg: Leg,
    before: RunResult | None,
    sliced: ModeSlice,
    judged: JudgedRun,
) -> AccountRun:
    """Store the run, any revision of the past, and the signal."""
    result = judged.result
    if leg.number not in [one.number for one in files.legs()]:
        files.add_leg(leg)
    if before is None or before.run_id != result.run_id:
        if before is not None:
            _compare(files, leg, before, sliced, judged)
        files.keep_market(result.run_id, market_series(judged.panel, sliced))
        judged.write(files.run_directory(leg.number))
        files.drop_markets(result.run_id)
    last = last_signal(files.settings, tick.account.name, before=result.identity.end)
    since = None
    if last is not None and last.leg == leg.number:
        since = pd.Timestamp(last.hour)
    signal = signal_of(
        sliced, judged.panel, leg.capital, since, account=tick.account.name, leg=leg.number
    )
    signal = record_signal(files.settings, signal)
    return replace(tick, leg=leg, result=result, signal=signal, verdicts=judged.verdicts)


def _compare(
    files: AccountFiles, leg: Leg, before: RunResult, sliced: ModeSlice, judged: JudgedRun
) -> None:
    series = partial(files.market, before.run_id)
    change = first_change(before, judged.result, series, judged.panel, sliced)
    if change is None:
        return
    files.add_revision(
        Revision(
            id=sha256(before.run_id, judged.result.run_id)[:16],
            found_at=datetime.now(UTC).isoformat(timespec="seconds"),
            leg=leg.number,
            hour=change.hour.isoformat(),
            changed_from=change.changed_from.isoformat(),
            feed=change.feed,
            value=change.value,
            before=change.before,
            after=change.after,
            description=change.description,
        )
    )


def _judged(files: AccountFiles, tick: AccountRun, run_id: str) -> AccountRun:
    """Add the account's gates, and its latest run when none was made now."""
    leg, result = tick.leg, tick.result
    if result is None and (legs := files.legs()):
        leg = legs[-1]
        result = files.run(leg.number)
    revisions = files.revisions()
    gates = [
        fresh(tick.ages),
        history_unchanged(revisions, has_run=result is not None),
        sound(tick.error),
    ]
    at = datetime.now(UTC)
    own = [
        gate.at(asset=ASSET, mode=tick.account.name, evaluated_at=at, run_id=run_id)
        for gate in gates
    ]
    numbers = [one.number for one in files.legs()[:-1]]
    earlier = [(number, run) for number in numbers if (run := files.run(number, ("equity",)))]
    return replace(
        tick,
        leg=leg,
        result=result,
        verdicts=[*own, *tick.verdicts],
        revisions=revisions,
        earlier=earlier,
    )


def _nanoseconds(hour: datetime) -> int:
    return pd.Timestamp(hour).value // HOUR_NS * HOUR_NS
