"""The findings of a build, and its verdicts."""

import dataclasses
from collections.abc import Callable

import pandas as pd
import pytest

from basis_pipeline.config.venue import Exchange, PerpMargin
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.findings import Findings
from basis_pipeline.market.peers import compare_all
from basis_pipeline.market.quality import check_names, rejected_verdicts
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.window import Window, parse_window
from basis_pipeline.verdict import Status, Verdict
from tests.market.conftest import Catalogue, Lines, Put

Build = Callable[..., Dataset]

PERPS = "market_data/derivatives/futures_ohlcv"
FUNDING = "market_data/derivatives/funding_rates"
BYBIT, BINANCE = "bybit_ethusdt_perp", "binance_ethusdt_perp"
WINDOW = parse_window("2024-06-01", "2024-06-02T23:00")
OKX = Exchange(
    kind="exchange",
    venue="okx",
    spot_taker_fee_bps=10.0,
    perp_taker_fee_bps=5.0,
    perp_margin=PerpMargin(initial=0.1, maintenance=0.05, liquidation_fee=0.01),
)


@pytest.fixture
def perps(put: Put, bars: Lines, build: Build) -> Callable[..., dict[str, Dataset]]:
    """Return Binance without some rows or at other prices, and Bybit, which fills it; compared."""

    def built(without: slice = slice(0), factor: float = 1.0) -> dict[str, Dataset]:
        lines = bars()
        put(f"{PERPS}/bybit_ETHUSDT_perp_1h_a.csv", lines)
        removed = set(range(len(lines))[without])
        left = [_scaled(x, factor) for i, x in enumerate(lines) if i not in removed]
        put(f"{PERPS}/binance_ETHUSDT_perp_1h_a.csv", left)
        datasets = {name: build(name, WINDOW) for name in (BINANCE, BYBIT)}
        found = compare_all(datasets, {}, {})
        return {name: dataset for name, dataset in found.items() if isinstance(dataset, Dataset)}

    return built


def _scaled(line: str, factor: float) -> str:
    at, *prices, rest = line.split(",", 5)
    if at == "timestamp":
        return line
    return ",".join([at, *(str(float(price) * factor) for price in prices), rest])


def verdicts(dataset: Dataset) -> dict[str, Verdict]:
    """Return verdicts by check."""
    return {verdict.check: verdict for verdict in dataset.verdicts}


def test_days_gaps_and_repairs_add_up(perps: Callable[..., dict[str, Dataset]]) -> None:
    """A gap of three hours is three repaired rows of its day; its check shows its hours."""
    found = perps(slice(20, 23))
    binance, bybit = found[BINANCE], found[BYBIT]
    assert binance.findings.days[["expected", "own", "repaired"]].to_numpy().tolist() == [
        [24, 21, 3],
        [24, 24, 0],
    ]
    (gap,) = binance.findings.gaps.to_dict("records")
    assert (gap["begin"], gap["hours"]) == (pd.Timestamp("2024-06-01 19:00", tz="UTC"), 3)
    assert (gap["repair"], gap["source"], gap["rows"]) == ("substituted", BYBIT, 3)
    assert binance.repairs == {"substituted": 3}
    verdict = verdicts(binance)["gaps"]
    assert verdict.message == (
        "1 gap, the longest of 3 hours, repaired as declared: 3 rows substituted"
    )
    assert verdict.rows[0]["begin"] == "2024-06-01T19:00:00+00:00"
    assert verdict.evidence["repaired_substituted"] == 3
    assert bybit.findings.gaps.empty
    assert verdicts(bybit)["gaps"].message == "no gaps"


def test_a_sound_dataset_passes_every_check_in_their_order(
    perps: Callable[..., dict[str, Dataset]],
) -> None:
    """Every name of the catalogue has its verdict, whatever was repaired."""
    binance = perps(slice(10, 12))[BINANCE]
    assert [v.check for v in binance.verdicts] == list(check_names(binance.config))
    assert {v.status for v in binance.verdicts} == {Status.PASS}
    assert verdicts(binance)["coverage"].measured == pytest.approx(46 / 48)
    assert verdicts(binance)["cross_venue"].evidence[f"{BYBIT}_max_bp"] == 0.0


def test_outliers_say_how_far_they_go(put: Put, bars: Lines, build: Build) -> None:
    """A price that doubles goes log 2 over a bound of 0.15, on one row: a warning."""
    lines = [line.replace(",30", ",60") if i > 24 else line for i, line in enumerate(bars())]
    put(f"{PERPS}/bybit_ETHUSDT_perp_1h_a.csv", lines)
    dataset = build(BYBIT, WINDOW)
    (row,) = dataset.findings.outliers.to_dict("records")
    assert row["column"] == "open"
    assert row["times"] == pytest.approx(0.693 / 0.15, rel=0.01)
    assert dataset.findings.excesses["times"].tolist()[1] == pytest.approx(row["times"])
    verdict = verdicts(dataset)["outliers"]
    assert (verdict.status, verdict.measured) == (Status.WARN, 1)
    assert verdict.rows[0]["times"] == pytest.approx(row["times"])


def test_quotes_that_disagree_are_a_warning(perps: Callable[..., dict[str, Dataset]]) -> None:
    """A venue that quotes a percent more has its spread by day, and the limits in the message."""
    binance = perps(factor=1.009)[BINANCE]
    (spread,) = binance.findings.spreads.to_dict("records")
    assert (spread["peer"], spread["median_bp"]) == (BYBIT, pytest.approx(90.0))
    assert binance.findings.daily_spreads["median_bp"].tolist() == pytest.approx([90.0, 90.0])
    verdict = verdicts(binance)["cross_venue"]
    assert verdict.status is Status.WARN
    assert "has a median of 90.00 bp (limit 10 bp)" in verdict.message
    assert len(verdict.rows) == 2


def test_without_another_quote_there_is_nothing_to_judge(
    put: Put, bars: Lines, build: Build
) -> None:
    """Neither an absent nor a rejected peer is agreement."""
    put(f"{PERPS}/bybit_ETHUSDT_perp_1h_a.csv", bars())
    dataset = build(BYBIT, WINDOW)
    rejected = RejectedDataError("DATA-002", "it is empty")
    for peers in ({BYBIT: dataset}, {BYBIT: dataset, BINANCE: rejected}):
        compared = compare_all(peers, {}, {})[BYBIT]
        assert isinstance(compared, Dataset)
        assert verdicts(compared)["cross_venue"].status is Status.NOT_APPLICABLE


def test_timestamps_off_their_hour_are_a_remark(put: Put, settlements: Lines, build: Build) -> None:
    """A rate that is 300 ms late counts at its hour, with a remark."""
    lines = [line.replace("T08:00:00Z", "T08:00:00.300Z") for line in settlements()]
    put(f"{FUNDING}/bybit_ETHUSDT_funding_rates_a.csv", lines)
    remarks = build("bybit_ethusdt_funding", WINDOW).findings.remarks
    assert any("up to 0.3 s off the hour" in remark for remark in remarks)


def test_findings_are_read_back_unchanged(perps: Callable[..., dict[str, Dataset]]) -> None:
    """They are stored with the dataset as text, without loss."""
    findings = perps(slice(20, 23), factor=1.008)[BINANCE].findings
    again = Findings.from_json(findings.to_json())
    for field in dataclasses.fields(Findings):
        before, after = getattr(findings, field.name), getattr(again, field.name)
        if isinstance(before, pd.DataFrame):
            pd.testing.assert_frame_equal(before, after, check_exact=True)
        else:
            assert before == after, field.name
    assert Findings.from_json(Findings().to_json()).first is None


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
def test_a_rejection_fails_its_own_check_and_blocks_the_others(
    code: str, owner: str, severity: str, catalogue: Catalogue
) -> None:
    """What was not evaluated has not passed; without a file there is nothing to judge."""
    rows = pd.DataFrame({"x": [1]})
    error = RejectedDataError(code, "it is so", where="a.csv", offending=rows)
    found = {v.check: v for v in rejected_verdicts(catalogue["weeth_oracle"], error)}
    assert list(found) == list(check_names(catalogue["weeth_oracle"]))
    others = Status.NOT_APPLICABLE if code == "DATA-001" else Status.BLOCKED
    assert not found[owner].passed
    assert {v.status for name, v in found.items() if name != owner} == {others}
    assert (found[owner].severity, found[owner].evidence["code"]) == (severity, code)
    assert found[owner].rows == ({"x": 1},)


def test_differing_margin_parameters_are_listed(catalogue: Catalogue) -> None:
    """An exchange's inverted file is a warning with both figures."""
    values = {"initial_margin_requirement": 0.05, "maintenance_margin_requirement": 0.1}
    frame = pd.DataFrame({"parameter": list(values), "value": list(values.values())})
    window = Window(*(pd.Timestamp(day, tz="UTC") for day in ("2024-06-01", "2024-06-02")))
    dataset = Dataset(catalogue["okx_risk_params"], window, frame, 1.0, {})
    compared = compare_all({dataset.name: dataset}, {}, {"okx": OKX})[dataset.name]
    assert isinstance(compared, Dataset)
    verdict = verdicts(compared)["risk_parameters"]
    assert verdict.status is Status.WARN
    assert [row["configuration"] for row in verdict.rows] == [0.1, 0.05]
    assert "0.05 is below its maintenance margin 0.1" in verdict.message
    assert "initial margin is 0.05 in the file, 0.1 in the configuration" in verdict.message
