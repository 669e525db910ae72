"""The explanation of a run says what its tables say, and nothing that they do not."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from basis_pipeline.reports.explanation import Explanation
from basis_pipeline.reports.run_view import RunView
from basis_pipeline.reports.tear_sheet import tear_sheet_html
from basis_pipeline.results.store import RunResult
from basis_pipeline.results.tables import COMPONENTS
from basis_pipeline.verdict import judge
from tests.reports.conftest import PASSED, WRITTEN, Named
from tests.reports.test_tear_sheet import Read

NAMES = ("usdt_market_neutral", "eth_leveraged", "repaired", "pure_lending")
INPUTS = (
    judge("outliers", "WARN", False, "6 rows", asset="dataset/ethereum_gas"),
    judge("cross_venue", "WARN", False, "far", asset="dataset/okx_ethusdt_perp"),
    judge("outliers", "WARN", False, "2 rows", asset="dataset/okx_ethusdt_perp"),
    judge("gaps", "ERROR", True, "no gaps", asset="dataset/okx_ethusdt_perp"),
)
WARNED = "Inputs with warnings: ethereum_gas (outliers), okx_ethusdt_perp (cross_venue, outliers)."


def explained(result: RunResult) -> Explanation:
    """The explanation of a run whose inputs carry warnings."""
    return Explanation(RunView(result), INPUTS)


@pytest.mark.parametrize("name", NAMES)
def test_parts_add_up_to_the_summary(sample_runs: Named, name: str) -> None:
    """Components add up to the profit, triggers to the cost and the number of rebalances."""
    result = sample_runs[name][0]
    made, summary = explained(result), result.summary
    amounts = {row["component"]: row["amount"] for row in made.components}
    assert sum(amounts.get(part, 0.0) for part in COMPONENTS) == pytest.approx(summary["pnl"])
    cost = sum(row["cost"] for row in made.triggers)
    assert cost == pytest.approx(summary["total_cost"], abs=1e-9 * summary["capital"])
    counts = {row["trigger"]: row["rebalances"] for row in made.triggers}
    assert sum(counts.values()) - counts["entry"] == summary["rebalances"]
    largest = [abs(row["amount"]) for row in made.components if "price" not in row["component"]]
    assert largest == sorted(largest, reverse=True)
    json.dumps(made.to_json())


@pytest.mark.parametrize("name", ["usdt_market_neutral", "repaired", "liquidated"])
def test_the_costliest_days_are_those_of_equity_less_flows(sample_runs: Named, name: str) -> None:
    """Days run from 00:00 to 00:00, the first from the capital; a deposit is not a gain."""
    result = sample_runs[name][0]
    table = result.frames["equity"].set_index("timestamp")
    ends = table.index[(table.index.hour == 0) & (table.index > table.index[0])]
    equity = [result.identity.capital, *table["equity"][ends]]
    flows = [0.0, *table["flow"].cumsum()[ends]]
    change = pd.Series(np.diff(equity) - np.diff(flows), ends - pd.Timedelta(days=1))
    expected = change[change < 0.0].nsmallest(3)
    found = explained(result).costliest_days
    assert [row["day"] for row in found] == [f"{day:%Y-%m-%d}" for day in expected.index]
    assert [row["change"] for row in found] == pytest.approx(list(expected))
    assert all(row["of_component"] < 0.0 for row in found)


def test_a_liquidation_at_a_wick_is_named(sample_runs: Named) -> None:
    """A liquidation at a wick is named as one, as in the ledger; the others are not."""
    result = sample_runs["liquidated"][0]
    events = result.frames["events"].copy()
    place = events.index[events["kind"] == "liquidation"][0]
    plain = " ".join(explained(result).sentences)
    assert "penalties and fees" in plain
    assert "wick" not in plain
    events.loc[place, "reason"] = "wick"
    struck = explained(replace(result, frames={**result.frames, "events": events}))
    assert [row["wick"] for row in struck.liquidations].count(True) == 1
    assert " ".join(struck.sentences).count("at a wick that no other venue on its side shows") == 1


def test_the_sheet_says_it_and_names_the_warnings_of_its_inputs(sample_runs: Named) -> None:
    """Data warnings are not gates of the run; without their verdicts the sheet says so."""
    result = sample_runs["usdt_market_neutral"][0]
    page = Read(tear_sheet_html(result, (*PASSED, *INPUTS), WRITTEN))
    assert "What moved the result" in page.text
    for sentence in explained(result).sentences:
        assert sentence in page.text
    assert WARNED in page.text
    assert "ALL GATES PASS" in page.all
    assert [*page.tables["Gate verdicts"]][1:] == [verdict.check for verdict in PASSED]
    unknown = tear_sheet_html(result, PASSED, WRITTEN)
    assert "The verdicts on its input datasets are not stored with this run." in unknown


def test_equity_stands_beside_closed_equity_and_lending(sample_runs: Named) -> None:
    """In currency, in the table and in the sentence."""
    made = explained(sample_runs["eth_basis"][0])
    run = made.run
    lent = run.benchmark_equity(run.benchmarks["lending"])[-1]
    equity = made.equity
    assert equity["lending_equity"] == pytest.approx(lent)
    assert equity["over_lending"] == pytest.approx(run.summary["final_equity"] - lent)
    (sentence,) = [text for text in made.sentences if "closed at the market" in text]
    for value in (run.summary["final_equity"], run.summary["closed_equity"], lent):
        assert run.money(value) in sentence
