"""The comparison with other engines, as far as it goes without them."""

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from basis_pipeline.engine import FIGURES
from basis_pipeline.market.window import parse_window
from benchmarks.peers.__main__ import arguments, disagreements, main
from benchmarks.peers.cases import FEES, Case, draw_points, make_case
from benchmarks.peers.environments import FRACTAL, VECTORBT, Found, Peer
from benchmarks.plain_basis import plain_basis

WINDOW = parse_window("2024-01-01", "2024-02-01")
PEERS = pytest.mark.parametrize("peer", [FRACTAL, VECTORBT], ids=lambda peer: peer.name)


@pytest.fixture(scope="module")
def case() -> Case:
    """Six points on the made-up market."""
    return make_case(draw_points(6), None, WINDOW)


def found_by(case: Case) -> Found:
    """What a peer finds that agrees with us."""
    figures = case.run(1)
    return {
        "equity": figures[:, FIGURES.index("final_equity")],
        "rebalances": figures[:, FIGURES.index("rebalances")],
        "hourly": np.array([case.hourly(0), case.hourly(1)]),
    }


def test_the_first_points_are_the_same_however_many_there_are() -> None:
    """A peer that runs fewer points runs the first of ours."""
    few, many = draw_points(7), draw_points(50)
    for field in fields(few):
        np.testing.assert_array_equal(getattr(few, field.name), getattr(many, field.name)[:7])
    assert (many.min_leverage < many.leverage).all()
    assert (many.leverage < many.max_leverage).all()
    assert set(many.fee) == set(FEES)


def test_points_mean_what_a_plain_loop_makes_of_them(case: Case) -> None:
    """Leverage, band, fee and capital reach the engine: each point is that of plain Python."""
    figures, points = case.run(2), case.points
    for i in range(3):
        leverage = points.leverage[i]
        chosen = case.parameters._replace(
            spot_weight=leverage / (1.0 + leverage),
            margin_ratio_min=1.0 / points.max_leverage[i],
            margin_ratio_max=1.0 / points.min_leverage[i],
        )
        loop = plain_basis(case.markets[points.fee[i]], chosen, points.capital[i])
        equities = np.array(loop.run())
        np.testing.assert_allclose(case.hourly(i), equities, rtol=1e-12)
        np.testing.assert_allclose(
            figures[i, FIGURES.index("final_equity")], equities[-1], rtol=1e-12
        )


def test_what_is_written_is_what_a_peer_reads(case: Case, tmp_path: Path) -> None:
    """The arrays of the market, and of the points as many as were asked for."""
    case.write(tmp_path / "given.npz", 4, 2)
    with np.load(tmp_path / "given.npz") as given:
        np.testing.assert_array_equal(given["spot"], case.market.spot)
        np.testing.assert_array_equal(given["mark"], case.market.perp_mark[:, 0])
        np.testing.assert_array_equal(given["funding"], case.market.funding_rate[:, 0])
        for field in fields(case.points):
            np.testing.assert_array_equal(
                given[field.name], getattr(case.points, field.name)[:4], field.name
            )


@pytest.mark.parametrize("wrong", [2e-9, np.nan])
def test_another_equity_is_a_disagreement(case: Case, wrong: float) -> None:
    """One point, or one hour of one point, is enough; so is a value that is no number."""
    for name, what in (("equity", "final equity"), ("hourly", "every hour")):
        found, hourly = found_by(case), found_by(case)["hourly"]
        found[name] = found[name].copy()
        found[name].flat[1] *= 1.0 + wrong
        complaints = disagreements("peer", case.run(1), hourly, found)
        assert len(complaints) == 1
        assert what in complaints[0]


@PEERS
def test_a_peers_script_knows_nothing_of_ours(peer: Peer) -> None:
    """It runs where this project is not installed."""
    source = Path(main.__code__.co_filename).with_name(peer.script).read_text()
    imported = set(re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE))
    assert imported.isdisjoint({"basis_pipeline", "benchmarks"})
    assert peer.name.split("-")[0] in imported


@PEERS
def test_a_peer_is_pinned(peer: Peer) -> None:
    """Every package that decides its speed has one version: its own, or the one in use here."""
    assert all("==" in requirement for requirement in peer.requirements)
    assert f"{peer.name}=={peer.version}" in peer.requirements


@pytest.mark.parametrize("given", [["--points", "0"], ["--recorded", "x"], ["--data-dir"]])
def test_unusable_arguments_end_with_2(given: list[str]) -> None:
    """As every command's."""
    with pytest.raises(SystemExit) as ended:
        arguments(given)
    assert ended.value.code == 2


def test_absent_data_end_with_2_before_anything_is_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One message, and no environment."""
    home = tmp_path / "environments"
    with pytest.raises(SystemExit) as ended:
        main(["--data-dir", str(tmp_path / "nowhere"), "--environments", str(home)])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("DATA-001")
    assert not home.exists()
