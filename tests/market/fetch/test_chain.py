"""Rows of an EVM chain, from a node that answers real ABI."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from basis_pipeline.config import DatasetConfig
from basis_pipeline.market.fetch.chain import Block, Chain
from basis_pipeline.market.fetch.http import HttpClient
from basis_pipeline.market.raw import read_feed
from tests.market.fetch.chain_server import (
    LST,
    ORACLE,
    POOL,
    TOKEN,
    Node,
    archive_node,
)
from tests.market.fetch.clock import MarketClock, ms
from tests.market.fetch.feeds import LIMITS, feed, fetch
from tests.market.fetch.server import Fault, Server

RATE = {"what": "rate", "contract": LST, "function": "getRate()"}
GAS = {"what": "gas"}
RESERVE = {"what": "aave_reserve", "pool": POOL, "oracle": ORACLE, "asset": TOKEN}
PAIRS = {"weETH_WETH": {"category": 1, "collateral": LST}}
E_MODE = {"what": "e_mode", "pool": POOL, "pairs": PAIRS}
SLOW_DOWN = {"jsonrpc": "2.0", "id": 0, "error": {"code": -32005, "message": "slow down"}}


@pytest.fixture
def node() -> Iterator[tuple[Server, Node]]:
    """Run a chain since June 2023, on the morning of the fifth of January 2024."""
    with archive_node(MarketClock.at("2024-01-05T05:30"), "2023-06-01T00:00:11") as made:
        yield made


def of(server: Server, like: str, read: dict[str, Any], since: str = "2024-01-05") -> DatasetConfig:
    """Return a dataset file whose feed is read from the node."""
    url = f"{server.url}/v2/very-secret-key"
    return feed(like, kind="ethereum_rpc", url=url, chain_id=1, since=since, read=read)


def values(place: Path, config: DatasetConfig) -> dict[int, dict[str, float]]:
    """Return the feed as read, by seconds since the epoch and canonical column."""
    rows = read_feed(place / "data", config).distinct
    timestamps = (rows.timestamps // 10**9).tolist()
    return {
        s: dict(zip(rows.columns, v, strict=True))
        for s, v in zip(timestamps, rows.values.tolist(), strict=True)
    }


@pytest.mark.parametrize("since", ["2023-06-01T00:30", "2023-12-31T23:59:59", "2024-01-05T05:00"])
def test_a_block_is_found_by_its_time(since: str, node: tuple[Server, Node]) -> None:
    """The last one made at or before a time, in few questions, whatever slots were missed."""
    server, chain_node = node
    chain = Chain(HttpClient(server.url, LIMITS), 1)
    final = chain.final_block()
    for count, seconds in enumerate((0, 1, 3600, 3601, 12 * 3600 - 1)):
        time = min(ms(since) // 1000 + seconds, final.time)
        found = chain.block_at(time, final)
        number = chain_node.block_at(time)
        assert found == Block(number, chain_node.time_of(number)), count
    assert len(server.asked) < 60


def test_an_lst_rate_is_that_of_the_last_block(node: tuple[Server, Node], tmp_path: Path) -> None:
    """Each full hour until the final block, and none after it."""
    server, chain_node = node
    config = of(server, "weeth_oracle", RATE)
    assert fetch(tmp_path, config, chain_node.clock).error is None
    found = values(tmp_path, config)
    hours = range(ms("2024-01-05") // 1000, ms("2024-01-05T05:00") // 1000 + 1, 3600)
    assert sorted(found) == list(hours)
    for hour in hours:
        made = chain_node.time_of(chain_node.block_at(hour))
        assert found[hour]["oracle_rate"] == pytest.approx(chain_node.grown(0.032, made), rel=1e-15)


def test_a_reserve_has_indices_rates_totals_and_price(
    node: tuple[Server, Node], tmp_path: Path
) -> None:
    """In units of the token, as the lending datasets have them; one question for all of a block."""
    server, chain_node = node
    config = of(server, "aave_usdt_rates", RESERVE)
    assert fetch(tmp_path, config, chain_node.clock).error is None
    found = values(tmp_path, config)[ms("2024-01-05") // 1000]
    time = chain_node.time_of(chain_node.block_at(ms("2024-01-05") // 1000))
    supplied, owed = chain_node.grown(0.03, time), chain_node.grown(0.05, time)
    wanted = {
        "liquidity_index": supplied,
        "variable_borrow_index": owed,
        "liquidity_rate": 0.03,
        "variable_borrow_rate": 0.05,
        "price_usd": 1.0,
        "total_a_token": 5e6 * supplied,
        "total_variable_debt": 3e6 * owed,
    }
    assert found == pytest.approx(wanted, rel=1e-12)


def test_gas_is_known_at_its_hour(node: tuple[Server, Node], tmp_path: Path) -> None:
    """The base fee of the last block before it, and the median of blocks that are not empty."""
    server, chain_node = node
    config = of(server, "ethereum_gas", GAS)
    assert fetch(tmp_path, config, chain_node.clock).error is None
    found = values(tmp_path, config)[ms("2024-01-05T04:00") // 1000]
    # The last block before 04:00 was made at 03:59:59, in the hour whose base fee is 13 gwei.
    assert found == {"base_fee_gwei": 13.0, "priority_fee_p50_gwei": 0.5}


def test_the_next_hour_revises_nothing(node: tuple[Server, Node], tmp_path: Path) -> None:
    """What is asked again comes back the same, though other blocks are known by then."""
    server, chain_node = node
    config = of(server, "weeth_oracle", RATE)
    fetch(tmp_path, config, chain_node.clock)
    chain_node.clock.advance(hours=1)
    done = fetch(tmp_path, config, chain_node.clock)
    assert (done.rows, done.warnings, done.error) == (1, (), None)


def test_e_mode_parameters_are_one_document(node: tuple[Server, Node], tmp_path: Path) -> None:
    """Shares of one, in e-mode and outside of it; a change of them is a revision."""
    server, chain_node = node
    config = of(server, "aave_risk_params", E_MODE)
    assert fetch(tmp_path, config, chain_node.clock).error is None
    file = tmp_path / "data" / "protocol_data" / "aave" / "risk_params" / "latest.json"
    document = json.loads(file.read_text())
    assert document["emode"] == {
        "liquidation_bonus": {"weETH_WETH": 0.01},
        "liquidation_thresholds": {"weETH_WETH": 0.95},
        "ltv_limits": {"weETH_WETH": 0.93},
    }
    assert document["standard"]["liquidation_thresholds"] == {"weETH_WETH": 0.8}


def test_a_document_of_ones_own_is_left_alone(node: tuple[Server, Node], tmp_path: Path) -> None:
    """Beside it another one would contradict it."""
    server, chain_node = node
    file = tmp_path / "data" / "protocol_data" / "aave" / "risk_params" / "own.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    error = fetch(tmp_path, of(server, "aave_risk_params", E_MODE), chain_node.clock).error
    assert error is not None
    assert error.code == "FETCH-012"
    assert [path.name for path in file.parent.iterdir()] == ["own.json"]


def test_a_key_in_the_address_is_written_nowhere(node: tuple[Server, Node], tmp_path: Path) -> None:
    """Neither in a message nor in the manifest, whatever goes wrong."""
    server, chain_node = node
    config = of(server, "weeth_oracle", RATE)
    blocks = []
    for fault in (Fault(status=401), Fault(half=True), Fault(garbage=b"<p>"), Fault(status=500)):
        server.fail(fault, times=LIMITS.attempts)
        done = fetch(tmp_path, config, chain_node.clock)
        assert done.error is not None
        blocks.append(done.error.block())
        server.faults.clear()
    assert fetch(tmp_path, config, chain_node.clock).error is None
    files = [file.read_text() for file in (tmp_path / "data").rglob("*") if file.is_file()]
    assert not any("very-secret" in text for text in [*blocks, *files])


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"chain_id": 5}, "FETCH-005", "serves chain 5, not chain 1"),
        ({"keeps": 100}, "FETCH-003", "missing trie node"),
    ],
)
def test_a_node_that_cannot_serve_is_named(
    changes: dict[str, Any], code: str, words: str, tmp_path: Path
) -> None:
    """Another chain, or a node without old states."""
    clock = MarketClock.at("2024-01-05T05:30")
    with archive_node(clock, "2023-06-01T00:00:11", **changes) as (server, _):
        error = fetch(tmp_path, of(server, "weeth_oracle", RATE), clock).error
    assert error is not None
    assert (error.code, words in error.what) == (code, True)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429, retry_after="0"),
        Fault(half=True),
        Fault(garbage=b"[]"),
        Fault(change=lambda _: SLOW_DOWN),
    ],
    ids=["429", "half", "empty", "rate limit"],
)  # fmt: skip
def test_what_another_attempt_cures_leaves_no_trace(
    fault: Fault, node: tuple[Server, Node], tmp_path: Path
) -> None:
    """The rows are those of a node without faults."""
    server, chain_node = node
    server.fail(fault)
    done = fetch(tmp_path, of(server, "weeth_oracle", RATE), chain_node.clock)
    assert (done.error, done.rows) == (None, 6)


def test_a_kill_costs_only_what_was_not_stored(node: tuple[Server, Node], tmp_path: Path) -> None:
    """A node that fails after some hours: the next fetch asks for the others, not for all."""
    server, chain_node = node
    config = of(server, "weeth_oracle", RATE, since="2024-01-04")
    calls = 0

    def fails_later(answer: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 60:
            server.fail(Fault(status=503), times=LIMITS.attempts)
        return answer

    server.fail(Fault(change=fails_later), times=60)
    done = fetch(tmp_path, config, chain_node.clock)
    assert done.error is not None
    assert 0 < done.rows < 30
    assert fetch(tmp_path, config, chain_node.clock).rows == 30 - done.rows
