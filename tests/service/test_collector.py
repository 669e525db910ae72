"""A snapshot compares each gate with its own verdict of a day ago."""

from datetime import timedelta
from pathlib import Path

import pytest

from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.service import collector
from basis_pipeline.settings import load_settings
from basis_pipeline.verdict import Status, Verdict

ASSET, MODE = "stress/scenarios", "btc_basis"


def test_a_gate_is_compared_with_the_verdict_of_its_own_scenario_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two sets over one mode have gates of the same name; one verdict is not the other's."""
    monkeypatch.setattr(collector, "YESTERDAY", timedelta(0))
    settings = load_settings(data_dir=tmp_path, results_dir=tmp_path / "results")
    before = {"crises": Status.FAIL, "replays": Status.PASS}
    for scenario_set, status in before.items():
        fields = {"gate": "survives", "verdict": status.value, "scenario_set": scenario_set}
        emit(settings, EventType.GATE_VERDICT, ASSET, mode=MODE, run_id="run", **fields)
    gates = [
        Verdict(
            check="survives",
            severity="ERROR",
            status=Status.FAIL,
            message="",
            asset=ASSET,
            mode=MODE,
            scenario_set=name,
        )
        for name in before
    ]
    rows = collector._with_yesterday(settings, gates)
    assert [row["before"] for row in rows] == [None, "PASS"]
