"""The gates page has one entry a fault, however many checks it stops."""

from basis_pipeline.reports.gates import check_link, faults, gates_html
from basis_pipeline.reports.page import Provenance
from basis_pipeline.verdict import Status, Verdict, blocked, failing, judge

MODES = ("btc_basis", "eth_basis", "usdt_market_neutral")
CHECKS = tuple(f"check_{number}" for number in range(8))
BROKEN = {
    "raw/okx": "DATA-003 data/okx_2024.csv",
    "raw/bybit": "DATA-012 data/bybit_2024.csv",
}


def failed(asset: str, cause: str) -> Verdict:
    """A check that failed with an error."""
    message = f"{cause.split()[1]} is broken"
    return judge("readable", "ERROR", False, message, cause=cause, asset=asset, phase=2)


def stopped(cause: str, mode: str) -> list[Verdict]:
    """The checks of a mode that the cause blocks."""
    where = {"asset": "backtest/run", "mode": mode, "phase": 3}
    return [blocked(name, "ERROR", cause, **where) for name in CHECKS]


ALL = [
    *(failed(asset, cause) for asset, cause in BROKEN.items()),
    *(verdict for mode in MODES for verdict in stopped(BROKEN["raw/okx"], mode)),
    *stopped(BROKEN["raw/bybit"], "pure_lending"),
    *stopped("CONFIG-004 configs/modes/new.yaml", "new"),
    judge("rules", "ERROR", True, "fine", asset="backtest/run", mode="new", phase=3),
]


def test_each_fault_is_one_entry_with_what_it_stops() -> None:
    """A fault is stated by the check that failed, or by its name where none did."""
    found = faults(failing(ALL))
    assert [(fault.stated_by is not None, len(fault.stopped)) for fault in found] == [
        (True, 24),
        (True, 8),
        (False, 8),
    ]
    assert list(found[0].stopped_by_place) == [f"backtest/run[{mode}]" for mode in MODES]
    assert found[2].name == "CONFIG-004 configs/modes/new.yaml"


def test_a_strict_page_has_one_entry_for_what_was_never_evaluated() -> None:
    """Not one entry for each gate of each study that never ran."""
    unrun = [verdict.at(status=Status.NOT_RUN, cause="") for verdict in ALL]
    assert len(faults(failing(unrun, strict=True))) == 1


def test_a_blocked_check_is_not_called_never_evaluated() -> None:
    """Blocked and never evaluated are two different facts."""
    html = gates_html(ALL, Provenance.now())
    stopping = html[html.index('<h2 id="stopping">') : html.index('<h2 id="warnings">')]
    assert stopping.count("is broken") == 2
    assert "stops 24 gates of 3 assets" in stopping
    assert "8 gates of 1 asset" in stopping
    assert "never" not in stopping


def test_links_lead_to_the_ui_that_is_named() -> None:
    """With an address every gate links to its history there; without one nothing is linked."""
    address = f"http://ui:3000{check_link(ALL[1])}".replace("&", "&amp;")
    assert f'href="{address}"' in gates_html(ALL, Provenance.now(), ui="http://ui:3000/")
    assert "http://" not in gates_html(ALL, Provenance.now())
