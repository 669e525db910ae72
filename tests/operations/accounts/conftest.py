"""A desk with feeds that are delivered hour by hour."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from basis_pipeline.backtests.ingest import inputs_of
from basis_pipeline.backtests.judged import judged_backtest
from basis_pipeline.config import Configs, load_configs, slice_mode
from basis_pipeline.config.account import AccountConfig
from basis_pipeline.config.loading import validate
from basis_pipeline.market.window import Window
from basis_pipeline.operations.accounts import AccountFiles, AccountRun, run_accounts
from basis_pipeline.operations.audit_log import log_directory, read_events
from basis_pipeline.results.store import RunResult
from basis_pipeline.settings import Settings, load_settings, project_root
from tests.live import Delivery

CONFIGS = load_configs(project_root() / "configs")
SINCE = "2024-02-20"


def account(name: str, mode: str, **keys: object) -> AccountConfig:
    """An account as its file would say it."""
    file = {"description": "", "capital": 100_000.0, "since": SINCE, **keys}
    return validate(AccountConfig, {"name": name, "mode": mode, **file}, f"accounts/{name}.yaml")


@dataclass
class Desk:
    """Accounts, the feeds that come in, and the clock."""

    settings: Settings
    delivery: Delivery
    configs: Configs = CONFIGS

    def tick(self, now: str | pd.Timestamp, *accounts: AccountConfig) -> list[AccountRun]:
        """Deliver what is known at `now`, and run the accounts five minutes later."""
        hour = pd.Timestamp(now, tz=None if isinstance(now, pd.Timestamp) else "UTC")
        self.delivery.up_to(hour)
        later = (hour + pd.Timedelta(minutes=5)).to_pydatetime()
        return run_accounts(self.settings, self.configs, accounts, later)

    def events(self) -> list[str]:
        """Types of the events so far, in order."""
        return [event.type for event in read_events(log_directory(self.settings))]

    def files(self, name: str) -> AccountFiles:
        """What is kept of an account."""
        return AccountFiles(self.settings, name)

    def one_shot(self, of: AccountConfig, end: pd.Timestamp) -> RunResult:
        """The backtest of the account's mode over the same data, in one go."""
        window = Window(pd.Timestamp(of.since), end)
        return judged_backtest(
            self.configs,
            of.mode,
            self.settings.data_dir,
            window,
            capital=of.capital,
            overrides=of.overrides,
        ).result


@pytest.fixture
def desk(sample: Path, tmp_path: Path) -> Callable[..., Desk]:
    """Make a desk for accounts, with the feeds they read and nothing else."""

    def make(*accounts: AccountConfig) -> Desk:
        slices = [slice_mode(CONFIGS, one.mode, one.overrides) for one in accounts]
        feeds = sorted({name for sliced in slices for name in inputs_of(CONFIGS, sliced)})
        sources = {source for name in feeds for source in CONFIGS.datasets[name].sources}
        settings = load_settings(data_dir=tmp_path / "data", results_dir=tmp_path / "results")
        delivery = Delivery(sample, tmp_path / "data", CONFIGS, sorted({*feeds, *sources}))
        return Desk(settings, delivery)

    return make
