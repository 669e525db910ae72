"""Quality checks: each passes on sound data, each can fail, none claims what it did not see."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.venue import Exchange, PerpMargin
from basis_pipeline.market.dataset import Dataset, build_dataset
from basis_pipeline.market.quality import check_names, dataset_checks
from basis_pipeline.market.raw import read_feeds
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.window import Window, parse_window
from basis_pipeline.verdict import Status, Verdict

Catalogue = dict[str, DatasetConfig]
Lines = Callable[..., list[str]]
Put = Callable[[str, list[str]], Path]
Perps = dict[str, Dataset]

PERPS = "market_data/derivatives/futures_ohlcv"
WINDOW = parse_window("2024-06-01", "2024-06-02T23:00")


@pytest.fixture
def perps(put: Put, bars: Lines, catalogue: Catalogue, tmp_path: Path) -> Perps:
    """Binance with a hole, and Bybit, which fills it."""
    lines = bars()
    put(f"{PERPS}/bybit_ETHUSDT_perp_1h_a.csv", lines)
    put(f"{PERPS}/binance_ETHUSDT_perp_1h_a.csv", [*lines[:10], *lines[12:]])
    configs = [catalogue[f"{venue}_ethusdt_perp"] for venue in ("binance", "bybit")]
    families = read_feeds(tmp_path, configs)
    return {c.name: build_dataset(c, families[c.name], WINDOW, families) for c in configs}


def _results(dataset: Dataset, peers: Perps | None = None) -> dict[str, Verdict]:
    return {r.check: r for r in dataset_checks(dataset.config, dataset, peers or {})}


def test_sound_data_pass_every_check_and_show_their_repairs(perps: Perps) -> None:
    """Repairs are counted and their rows shown, though they are allowed."""
    results = _results(perps["binance_ethusdt_perp"], perps)
    assert list(results) == list(check_names(perps["binance_ethusdt_perp"].config))
    assert all(result.passed and result.evaluated for result in results.values())
    assert results["gaps"].evidence["repaired_substituted"] == 2
    assert [row["repair"] for row in results["gaps"].rows] == ["substituted"] * 2
    assert results["cross_venue"].evidence["bybit_ethusdt_perp_max_bp"] == 0.0


def _with(dataset: Dataset, **columns: object) -> Dataset:
    return dataclasses.replace(dataset, frame=dataset.frame.assign(**columns))


def _swapped(dataset: Dataset) -> Dataset:
    order = [1, 0, *range(2, len(dataset.frame))]
    return dataclasses.replace(dataset, frame=dataset.frame.iloc[order].reset_index(drop=True))


BREAKS: dict[str, Callable[[Dataset], Dataset]] = {
    "files_and_schema": lambda d: _with(d, open=-1.0),
    "coverage": lambda d: dataclasses.replace(d, own_share=0.1),
    "gaps": lambda d: _with(d, repair="", source=d.name),
    "duplicates": lambda d: _with(d, timestamp=WINDOW.hours[0]),
    "order": _swapped,
    "outliers": lambda d: _with(d, open=[1.0, *d.frame["open"].iloc[1:]]),
    "cross_venue": lambda d: _with(d, open=d.frame["open"] * 1.01),
}


@pytest.mark.parametrize("check", BREAKS)
def test_every_check_can_fail(check: str, perps: Perps) -> None:
    """A check that cannot fail checks nothing."""
    broken = BREAKS[check](perps["binance_ethusdt_perp"])
    result = _results(broken, perps)[check]
    assert not result.passed
    assert result.severity == ("WARN" if check in {"outliers", "cross_venue"} else "ERROR")
    assert check in {"coverage", "gaps"} or len(result.rows) > 0


def test_agreement_without_a_peer_says_so(perps: Perps) -> None:
    """With nothing to compare with, no figure is claimed."""
    dataset = perps["bybit_ethusdt_perp"]
    refused = RejectedDataError("DATA-002", "it is empty")
    for peers in ({}, {"binance_ethusdt_perp": refused}):
        results = {r.check: r for r in dataset_checks(dataset.config, dataset, peers)}
        assert results["cross_venue"].status is Status.NOT_APPLICABLE
        assert "no other quote" in results["cross_venue"].message


def test_a_falling_index_is_found_in_a_dataset(catalogue: Catalogue) -> None:
    """The monotone check looks at the dataset's own rows."""
    stamps = pd.date_range("2024-06-01", periods=3, freq="h", tz="UTC", unit="ns")
    frame = pd.DataFrame({"timestamp": stamps, "oracle_rate": [1.04, 1.05, 1.03]})
    frame = frame.assign(source="weeth_oracle", repair="")
    window = Window(stamps[0], stamps[-1])
    dataset = Dataset(catalogue["weeth_oracle"], window, frame, 1.0, {}, 0, {})
    result = _results(dataset)["monotone_index"]
    assert (result.passed, result.measured) == (False, 1)


@pytest.mark.parametrize(
    ("code", "owner", "severity"),
    [
        ("DATA-001", "files_and_schema", "WARN"),
        ("DATA-005", "files_and_schema", "ERROR"),
        ("DATA-007", "duplicates", "ERROR"),
        ("DATA-009", "monotone_index", "ERROR"),
        ("DATA-012", "coverage", "ERROR"),
        ("DATA-013", "gaps", "ERROR"),
    ],
)
def test_a_refusal_fails_its_own_check_and_leaves_the_others_unseen(
    code: str, owner: str, severity: str, catalogue: Catalogue
) -> None:
    """What was not evaluated has not passed; an absent family is a warning until it is needed."""
    rows = pd.DataFrame({"x": [1]})
    error = RejectedDataError(code, "it is so", where="a.csv", offending=rows)
    results = {r.check: r for r in dataset_checks(catalogue["weeth_oracle"], error, {})}
    assert list(results) == list(check_names(catalogue["weeth_oracle"]))
    assert not any(result.passed for result in results.values())
    assert [name for name, result in results.items() if result.evaluated] == [owner]
    assert (results[owner].severity, results[owner].evidence["code"]) == (severity, code)
    assert len(results[owner].rows) == 1


def _margin(catalogue: Catalogue, initial: float, maintenance: float) -> Dataset:
    frame = pd.DataFrame(
        {
            "parameter": ["initial_margin_requirement", "maintenance_margin_requirement"],
            "value": [initial, maintenance],
        }
    ).assign(source="okx_risk_params", repair="")
    frame = frame.astype({"parameter": "str", "source": "str", "repair": "str"})
    return Dataset(catalogue["okx_risk_params"], WINDOW, frame, 1.0, {}, 0, {})


def test_margin_parameters_say_what_differs(catalogue: Catalogue) -> None:
    """The exchange's inverted file is a warning with both figures; agreement passes."""
    venue = Exchange(
        kind="exchange",
        venue="okx",
        spot_taker_fee_bps=10.0,
        perp_taker_fee_bps=5.0,
        perp_margin=PerpMargin(initial=0.1, maintenance=0.05, liquidation_fee=0.01),
    )
    config = catalogue["okx_risk_params"]

    def result(initial: float, maintenance: float) -> Verdict:
        dataset = _margin(catalogue, initial, maintenance)
        found = dataset_checks(config, dataset, {}, venue)
        return {r.check: r for r in found}["margin_parameters"]

    assert result(0.1, 0.05).passed
    inverted = result(0.05, 0.1)
    assert (inverted.passed, inverted.severity) == (False, "WARN")
    assert "lies below maintenance" in inverted.message
    assert "initial 0.05 in the file, 0.1 in the configuration" in inverted.message
    assert [row["configuration"] for row in inverted.rows] == [0.1, 0.05]
