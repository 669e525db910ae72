"""Accounts and their signals: by the API, in the metrics, on the dashboard."""

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from basis_pipeline.config.account import load_account
from basis_pipeline.config.current import current_configs
from basis_pipeline.operations.accounts import AccountRun, run_accounts
from basis_pipeline.settings import Settings, config_directory, load_settings, project_root
from tests.service.conftest import called, environment
from tests.service.server import wait_for

CARRY = {"name": "carry", "mode": "eth_basis", "since": "2024-02-10", "capital": 100_000.0}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Iterator[Settings]:
    """Yield a project with one account, and the broken file of another."""
    place = tmp_path_factory.mktemp("accounts")
    configs = place / "configs"
    shutil.copytree(project_root() / "configs", configs)
    shutil.rmtree(configs / "accounts")
    (configs / "accounts").mkdir()
    (configs / "accounts" / "carry.yaml").write_text(yaml.safe_dump({**CARRY, "description": "x"}))
    (configs / "accounts" / "broken.yaml").write_text("name: broken\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME", raising=False)
        values = environment(place / "results", sample) | {"BASIS_CONFIG_DIR": str(configs)}
        for name, value in values.items():
            patch.setenv(name, value)
        yield load_settings()


@pytest.fixture(scope="module")
def api(desk: Settings) -> Iterator[TestClient]:
    """Yield a client."""
    with called(desk) as (made, _):
        yield made


def tick(settings: Settings, hour: str) -> AccountRun:
    """Run the account to an hour."""
    at = pd.Timestamp(hour, tz="UTC").to_pydatetime()
    account = load_account(config_directory(), "carry")
    (run,) = run_accounts(settings, current_configs(), [account], at)
    assert run.error is None
    return run


def test_accounts_are_shown_as_their_ticks_leave_them(api: TestClient, desk: Settings) -> None:
    """Before the first, after it, and after the next, which the log says; a broken file too."""
    before = {row["account"]: row for row in api.get("/accounts").json()["accounts"]}
    assert before["carry"]["equity"] is None
    assert "CONFIG-" in before["broken"]["error"]
    assert api.get("/signals").json() == {"signals": []}
    assert api.get("/accounts/carry/signals").json() == {"signals": [], "before": None}
    hours = ("2024-02-11T05:00", "2024-02-11T06:00", "2024-02-11T07:00")
    for hour in hours:
        run = tick(desk, hour)
        assert run.result is not None
        end = run.result.identity.end.isoformat()
        wait_for(lambda end=end: api.get("/accounts").json()["accounts"][0]["hour"] == end)
    row = api.get("/accounts").json()["accounts"][0]
    assert (row["equity"], row["leg"]) == (run.result.summary["final_equity"], 1)
    one = api.get("/accounts/carry").json()
    assert one | row == one
    assert [leg["capital"] for leg in one["legs"]] == [1e5]
    assert one["signal"]["hour"] == row["hour"]
    assert api.get("/signals").json()["signals"] == [one["signal"]]
    now = api.get("/signals", params={"since": row["hour"]})
    assert now.json()["signals"] == [one["signal"]]
    assert api.get("/signals?since=2024-03-01").json()["signals"] == []


def test_the_history_of_signals_comes_in_pages(api: TestClient) -> None:
    """The latest first, from the state and from the store alike; bounded by `since`."""
    first = api.get("/accounts/carry/signals?limit=2").json()
    rest = api.get("/accounts/carry/signals", params={"before": first["before"]}).json()
    found = first["signals"] + rest["signals"]
    hours = [datetime.fromisoformat(signal["hour"]) for signal in found]
    assert len(hours) == 3
    assert hours == sorted(hours, reverse=True)
    assert found == api.get("/accounts/carry/signals").json()["signals"]
    late = api.get("/accounts/carry/signals", params={"since": found[1]["hour"]}).json()
    assert late["signals"] == found[:2]
    again = api.get("/signals")
    headers = {"If-None-Match": again.headers["etag"]}
    assert api.get("/signals", headers=headers).status_code == 304
    for name, code in (("nobody", "CONFIG-007"), ("broken", "CONFIG-005")):
        assert api.get(f"/accounts/{name}").json()["error_code"] == code


def test_metrics_and_the_dashboard_show_equity_and_what_is_to_be_done(api: TestClient) -> None:
    """By account."""
    equity = api.get("/accounts").json()["accounts"][0]["equity"]
    families = {f.name: f for f in text_string_to_metric_families(api.get("/metrics").text)}
    (sample,) = families["basis_account_equity"].samples
    assert (sample.labels, sample.value) == ({"account": "carry"}, equity)
    text = api.get("/sections/accounts").text
    assert f"{equity:,.2f}" in text
    assert api.get("/signals").json()["signals"][0]["action"] in text
    assert "CONFIG-" in text
