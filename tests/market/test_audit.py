"""The audit: one evaluation of every feed, and never an exception for bad data."""

from pathlib import Path

import pandas as pd

from basis_pipeline.config import load_configs
from basis_pipeline.market.audit import FeedAudit, audit, audit_table
from basis_pipeline.market.window import Window, parse_window
from basis_pipeline.settings import project_root
from basis_pipeline.verdict import Status
from tests.market.conftest import Catalogue, Lines, Put

PERPS = "market_data/derivatives/futures_ohlcv"


def audited(
    catalogue: Catalogue, data: Path, *names: str, window: Window | None = None
) -> dict[str, FeedAudit]:
    """Return audits by feed."""
    wanted = [catalogue[name] for name in names]
    return {found.feed: found for found in audit(data, wanted, {}, window)}


def test_every_verdict_is_given_the_worst_first(
    put: Put, bars: Lines, catalogue: Catalogue, tmp_path: Path
) -> None:
    """FAIL with its code, WARN for repairs, PASS, N/A without a file."""
    put(f"{PERPS}/bybit_ETHUSDT_perp_1h_a.csv", [*bars(), bars()[5]])
    put(f"{PERPS}/binance_ETHUSDT_perp_1h_a.csv", [*bars()[:20], *bars()[23:]])
    put(f"{PERPS}/bybit_BTCUSDT_perp_1h_a.csv", bars())
    names = ("bybit_ethusdt_perp", "binance_ethusdt_perp", "bybit_btcusdt_perp", "ethereum_gas")
    found = audited(catalogue, tmp_path, *names)
    bybit, binance, wrong, gas = (found[name] for name in names)
    assert list(found) == [wrong.feed, binance.feed, bybit.feed, gas.feed]
    assert (bybit.verdict, bybit.findings.rows, bybit.gaps) == (Status.PASS, 49, 0)
    assert bybit.message == "1 exact duplicate dropped"
    assert (binance.verdict, binance.gaps, binance.longest_gap_hours) == (Status.WARN, 1, 3)
    assert binance.message == "3 rows substituted"
    assert wrong.verdict is Status.FAIL
    assert "DATA-011" in wrong.message
    assert (gas.verdict, gas.findings.files, gas.gaps) == (Status.NOT_APPLICABLE, 0, None)


def test_a_gap_that_nothing_fills_is_shown_as_missing(
    put: Put, bars: Lines, catalogue: Catalogue, tmp_path: Path
) -> None:
    """A rejected feed shows which rows it lacks, and that nothing filled them."""
    put(f"{PERPS}/binance_ETHUSDT_perp_1h_a.csv", [*bars()[:20], *bars()[23:]])
    names = ("binance_ethusdt_perp", "bybit_ethusdt_perp")
    found = audited(catalogue, tmp_path, *names)[names[0]]
    assert found.verdict is Status.FAIL
    assert found.findings.gaps["repair"].tolist() == [""]
    assert found.findings.days["own"].tolist() == [21, 24]
    assert found.findings.days["repaired"].sum() == 0


def test_a_window_is_audited_as_a_run_would_use_it(
    put: Put, bars: Lines, catalogue: Catalogue, tmp_path: Path
) -> None:
    """Sound over its own span, a feed may still not serve the window asked for."""
    put(f"{PERPS}/bybit_ETHUSDT_perp_1h_a.csv", bars())
    window = parse_window("2024-06-01", "2024-07-01")
    (found,) = audited(catalogue, tmp_path, "bybit_ethusdt_perp", window=window).values()
    assert (found.verdict, found.gaps, found.longest_gap_hours) == (Status.FAIL, 1, 673)
    assert "DATA-010" in found.message


def test_the_table_has_a_row_a_feed(catalogue: Catalogue, tmp_path: Path) -> None:
    """An empty directory is a table of absent feeds."""
    table = audit_table(audit(tmp_path, catalogue.values(), {}))
    assert len(table) == len(catalogue)
    assert set(table["verdict"]) == {"N/A"}
    assert {"feed", "first", "rows", "gaps", "code", "message"} <= set(table.columns)


def test_every_known_defect_of_the_real_files_is_found(real_data_dir: Path) -> None:
    """The audit finds every defect that was found by hand in fifteen months of files."""
    configs = load_configs(project_root() / "configs")
    audits = audit(real_data_dir, configs.datasets.values(), configs.venues)
    found = {one.feed: one for one in audits}
    for feed in ("binance_btcusdt_perp", "binance_ethusdt_perp", "binance_btcusdt_spot"):
        gaps = found[feed].findings.gaps
        assert set(gaps["hours"]) == {23}
        assert gaps["begin"].diff().dropna().dt.days.median() in (40, 41)
        assert set(gaps["repair"]) == {"substituted"}
    for feed in ("bybit_btcusdt_perp", "bybit_ethusdt_perp", "bybit_ethusdt_spot"):
        assert found[feed].findings.duplicates > 0
    okx = found["okx_ethusdt_perp"]
    assert okx.findings.first == pd.Timestamp("2024-08-01", tz="UTC")
    assert okx.longest_gap_hours == 720
    funding = found["okx_btcusdt_funding"].findings
    august = funding.days["day"].between("2024-08-01", "2024-08-31")
    assert funding.days.loc[august, "own"].sum() == 0
    assert set(funding.repairs) == {"mean_of_venues"}
    for token in ("weeth", "wsteth"):
        remarks = found[f"{token}_oracle"].findings.remarks
        assert any("the file name starts at" in remark for remark in remarks)
    for venue in ("binance", "bybit", "okx"):
        margins = found[f"{venue}_risk_params"]
        assert margins.verdict is Status.WARN
        assert "is below its maintenance margin" in margins.message
    assert found["ethereum_gas"].findings.outliers["value"].max() > 800
    noisy, quiet = (
        found[feed].findings.daily_spreads["median_bp"].median()
        for feed in ("uniswapv3_ethusdt_spot", "binance_btcusdt_spot")
    )
    assert noisy > 5 * quiet
