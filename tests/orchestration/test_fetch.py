"""The job `fetch`: feeds by month, each by itself, beside everything that is made of them."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from basis_pipeline.config import Configs, DatasetConfig
from basis_pipeline.config.current import current_configs
from basis_pipeline.orchestration.assets.fetch import UNREVISED, fetch_assets, fetch_key
from basis_pipeline.orchestration.jobs import FETCH_JOB
from basis_pipeline.orchestration.resources import RunOptions
from tests.market.fetch.clock import MarketClock
from tests.market.fetch.conftest import BTC
from tests.market.fetch.exchanges import exchanges
from tests.market.fetch.feeds import bars
from tests.market.fetch.quotes import Quotes

JANUARY = "2024-01-01"


def configs_of(*feeds: DatasetConfig) -> Configs:
    """Return the project's configuration with these feeds alone."""
    shipped = current_configs()
    datasets = {feed.name: feed for feed in feeds}
    return Configs(shipped.modes, shipped.venues, shipped.share_classes, datasets)


def materialise(place: Path, configs: Configs, **verify: bool) -> dg.ExecuteInProcessResult:
    """Fetch January of every feed in an instance of its own."""
    options = RunOptions(data_dir=str(place / "data"), results_dir=str(place / "results"))
    keys = [fetch_key(name) for name in configs.datasets]
    return dg.materialize(
        fetch_assets(configs),
        instance=dg.DagsterInstance.ephemeral(),
        partition_key=JANUARY,
        resources={"options": options},
        run_config={"ops": {key.to_python_identifier(): {"config": verify} for key in keys}},
        raise_on_error=False,
    )


def test_a_month_is_fetched_and_a_revision_is_a_warning(tmp_path: Path) -> None:
    """The partition is the month; a check that stops nothing shows what has changed since."""
    quotes, clock = Quotes(), MarketClock.at("2024-03-01T00:00")
    quotes.make(BTC, "2024-01-01", "2024-03-01", 40_000.0)
    with exchanges(quotes, clock) as server:
        configs = configs_of(bars(server.url))
        first = materialise(tmp_path, configs)
        quotes.revise(BTC, "2024-01-10T05:00", 7.0)
        second = materialise(tmp_path, configs, verify=True)
    key = fetch_key("binance_btcusdt_perp")
    (made,) = first.asset_materializations_for_node(key.to_python_identifier())
    assert made.partition == JANUARY
    assert made.metadata["rows_added"].value == 27 * 24
    found = [result.get_asset_check_evaluations()[0] for result in (first, second)]
    assert [(check.check_name, check.passed) for check in found] == [
        (UNREVISED, True),
        (UNREVISED, False),
    ]
    assert found[1].severity is dg.AssetCheckSeverity.WARN
    assert second.success
    folder = tmp_path / "data" / "market_data/derivatives/futures_ohlcv"
    assert [file.name for file in folder.iterdir()] == ["binance_BTCUSDT_perp_1h_2024-01.csv"]


def test_a_feed_that_fails_stops_no_other(tmp_path: Path) -> None:
    """Its step fails with its code; the other feed is there."""
    quotes, clock = Quotes(), MarketClock.at("2024-03-01T00:00")
    quotes.make(BTC, "2024-01-01", "2024-03-01", 40_000.0)
    with exchanges(quotes, clock) as server:
        own = {"name": "wrong", "glob": "wrong/*.csv"}
        wrong = bars(server.url, symbol="XYZ/USDT:USDT").model_copy(update=own)
        result = materialise(tmp_path, configs_of(wrong, bars(server.url)))
    failed = {event.step_key for event in result.all_events if event.is_step_failure}
    assert failed == {"fetch__wrong"}
    (event,) = (event for event in result.all_events if event.is_step_failure)
    assert "FETCH-003" in str(event.step_failure_data.user_failure_data)
    assert result.asset_materializations_for_node("fetch__binance_btcusdt_perp")


def test_every_source_is_an_asset_and_no_run_fetches(defs: dg.Definitions) -> None:
    """Nothing is made of a fetch, so that no selection upstream of a page reaches one."""
    graph = defs.resolve_asset_graph()
    feeds = {name for name, config in current_configs().datasets.items() if config.source}
    keys = {key for key in graph.get_all_asset_keys() if key.path[0] == "fetch"}
    assert {key.path[-1] for key in keys} == feeds
    for key in keys:
        node = graph.get(key)
        assert not node.parent_keys
        assert not node.child_keys


@pytest.mark.parametrize(
    ("hour", "months"),
    [
        ("2024-03-20T07:05", ["2024-03-01"]),
        ("2024-03-08T07:05", ["2024-02-01", "2024-03-01"]),
    ],
)
def test_every_hour_the_current_month_and_one_that_has_gaps(
    hour: str,
    months: list[str],
    defs: dg.Definitions,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The month before is asked for until its gaps are given up."""
    monkeypatch.setenv("BASIS_RESULTS_DIR", str(tmp_path / "results"))
    schedule = defs.resolve_schedule_def("hourly_fetch")
    time = datetime.fromisoformat(hour).replace(tzinfo=UTC)
    repository = defs.get_repository_def()
    context = dg.build_schedule_context(scheduled_execution_time=time, repository_def=repository)
    ticked = schedule.evaluate_tick(context)
    assert ticked.run_requests is not None
    assert [request.partition_key for request in ticked.run_requests] == months
    assert schedule.job_name == FETCH_JOB
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
