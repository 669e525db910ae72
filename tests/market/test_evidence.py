"""What an audit stands on: every defect of the files is there, and nothing that is none."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from basis_pipeline.config import load_configs
from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.venue import Exchange
from basis_pipeline.market.audit import examine_all
from basis_pipeline.market.evidence import Evidence, gather
from basis_pipeline.settings import project_root

Catalogue = dict[str, DatasetConfig]
Lines = Callable[..., list[str]]
Put = Callable[[str, list[str]], Path]

PERPS = "market_data/derivatives/futures_ohlcv"
FUNDING = "market_data/derivatives/funding_rates"


def _gathered(data: Path, catalogue: Catalogue, *names: str) -> dict[str, Evidence]:
    found = gather(examine_all(data, [catalogue[name] for name in names]))
    return {one.line.family: one for one in found}


def test_days_holes_and_repairs_add_up(
    put: Put, bars: Lines, catalogue: Catalogue, tmp_path: Path
) -> None:
    """A hole of three hours is three repaired rows of its day, from where they came."""
    put(f"{PERPS}/bybit_ETHUSDT_perp_1h_a.csv", bars())
    put(f"{PERPS}/binance_ETHUSDT_perp_1h_a.csv", [*bars()[:20], *bars()[23:]])
    found = _gathered(tmp_path, catalogue, "bybit_ethusdt_perp", "binance_ethusdt_perp")
    binance = found["binance_ethusdt_perp"]
    assert binance.days[["expected", "own", "repaired"]].values.tolist() == [
        [24, 21, 3],
        [24, 24, 0],
    ]
    (hole,) = binance.holes.to_dict("records")
    assert (hole["begin"], hole["hours"]) == (pd.Timestamp("2024-06-01 19:00", tz="UTC"), 3)
    assert (hole["repair"], hole["source"]) == ("substituted", "bybit_ethusdt_perp")
    assert binance.repairs["rows"].tolist() == [3]
    assert found["bybit_ethusdt_perp"].holes.empty


def test_a_hole_that_nothing_fills_is_missing(
    put: Put, bars: Lines, catalogue: Catalogue, tmp_path: Path
) -> None:
    """A refused family shows which rows it lacks, and that nothing filled them."""
    put(f"{PERPS}/binance_ETHUSDT_perp_1h_a.csv", [*bars()[:20], *bars()[23:]])
    names = ("binance_ethusdt_perp", "bybit_ethusdt_perp")
    found = _gathered(tmp_path, catalogue, *names)[names[0]]
    assert found.verdict == "FAIL"
    assert found.holes["repair"].tolist() == [""]
    assert found.days["own"].tolist() == [21, 24]
    assert found.days["repaired"].sum() == 0


def test_outliers_tell_how_far_they_go(
    put: Put, bars: Lines, catalogue: Catalogue, tmp_path: Path
) -> None:
    """A price that doubles goes log 2 over a bound of 0.15, on one row."""
    lines = [line.replace(",30", ",60") if i > 24 else line for i, line in enumerate(bars())]
    put(f"{PERPS}/bybit_ETHUSDT_perp_1h_a.csv", lines)
    found = _gathered(tmp_path, catalogue, "bybit_ethusdt_perp")["bybit_ethusdt_perp"]
    (row,) = found.outliers.to_dict("records")
    assert row["column"] == "open"
    assert row["times"] == pytest.approx(0.693 / 0.15, rel=0.01)
    assert found.excesses["times"].max() == pytest.approx(row["times"])


def test_quotes_that_disagree_are_a_concern(
    put: Put, bars: Lines, catalogue: Catalogue, tmp_path: Path
) -> None:
    """A venue that quotes a percent more passes its own checks, and still wants a look."""
    put(f"{PERPS}/bybit_ETHUSDT_perp_1h_a.csv", bars())
    lines = [bars()[0]]
    for line in bars()[1:]:
        stamp, *prices, rest = line.split(",", 5)
        lines.append(",".join([stamp, *(str(float(p) * 1.01) for p in prices), rest]))
    put(f"{PERPS}/binance_ETHUSDT_perp_1h_a.csv", lines)
    found = _gathered(tmp_path, catalogue, "bybit_ethusdt_perp", "binance_ethusdt_perp")
    binance = found["binance_ethusdt_perp"]
    assert (binance.line.verdict, binance.verdict) == ("PASS", "WARN")
    assert "median gap 100 bp of 10" in binance.concerns[0]
    assert binance.spreads["median_bp"].tolist() == pytest.approx([100.0, 100.0, 100.0][:2])


def test_stamps_beside_their_hour_are_told(
    put: Put, settlements: Lines, catalogue: Catalogue, tmp_path: Path
) -> None:
    """A rate stamped 300 ms late is used at its hour, and said to have been moved."""
    lines = [line.replace("T08:00:00Z", "T08:00:00.300Z") for line in settlements()]
    put(f"{FUNDING}/bybit_ETHUSDT_funding_rates_a.csv", lines)
    found = _gathered(tmp_path, catalogue, "bybit_ethusdt_funding")["bybit_ethusdt_funding"]
    assert any("stamps up to 0.3 s beside" in remark for remark in found.remarks)


def test_every_known_defect_of_the_real_files_is_shown(real_data_dir: Path) -> None:
    """What a person found by hand in fifteen months of files, the audit finds too."""
    configs = load_configs(project_root() / "configs")
    venues = {n: v for n, v in configs.venues.items() if isinstance(v, Exchange)}
    examined = examine_all(real_data_dir, configs.datasets.values())
    found = {one.line.family: one for one in gather(examined, venues)}
    for family in ("binance_btcusdt_perp", "binance_ethusdt_perp", "binance_btcusdt_spot"):
        holes = found[family].holes
        assert set(holes["hours"]) == {23}
        assert holes["begin"].diff().dropna().dt.days.median() in (40, 41)
        assert set(holes["repair"]) == {"substituted"}
    for family in ("bybit_btcusdt_perp", "bybit_ethusdt_perp", "bybit_ethusdt_spot"):
        assert found[family].line.exact_duplicates > 0
    okx = found["okx_ethusdt_perp"]
    assert okx.line.first == pd.Timestamp("2024-08-01", tz="UTC")
    assert okx.holes["hours"].max() == 720
    funding = found["okx_btcusdt_funding"]
    august = funding.days["day"].between("2024-08-01", "2024-08-31")
    assert funding.days.loc[august, "own"].sum() == 0
    assert set(funding.repairs["repair"]) == {"mean_of_venues"}
    for token in ("weeth", "wsteth"):
        assert any("the name says from" in told for told in found[f"{token}_oracle"].remarks)
        assert any("hours after" in told for told in found[f"{token}_peg"].remarks)
    for venue in venues:
        concerns = found[f"{venue}_risk_params"].concerns
        assert "lies below maintenance" in concerns[0]
        assert found[f"{venue}_risk_params"].verdict == "WARN"
    assert found["ethereum_gas"].outliers["value"].max() > 800
    assert any("over 51 days" in told for told in found["eigen_rewards"].remarks)
    pairs = found["execution_costs"].remarks[0]
    assert "BTCUSDT-PERP" in pairs
    assert "BTC_USDT" not in pairs
    noisy = found["uniswapv3_ethusdt_spot"].spreads["median_bp"].median()
    assert noisy > 5 * found["binance_btcusdt_spot"].spreads["median_bp"].median()
