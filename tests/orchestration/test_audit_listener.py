"""The audit trail: what real runs leave in the event log."""

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from basis_pipeline.config import slice_mode
from basis_pipeline.config.current import current_configs
from basis_pipeline.errors import EventError, correlation_id
from basis_pipeline.operations.audit_log import Event, read_events
from basis_pipeline.operations.audit_log.files import DIRECTORY
from basis_pipeline.orchestration.assets.config import MODE
from basis_pipeline.orchestration.launch import PipelineOutcome
from tests.orchestration.conftest import WINDOW, Place, events_of
from tests.planted import SECRETS

SECRET = SECRETS[1]


def only(events: list[Event]) -> Mapping[str, Any]:
    """Return the fields of the only event of a list."""
    (event,) = events
    return event.fields


def of_the_platform(event: Event) -> bool:
    """Whether an event is of the gates that are evaluated after the modes."""
    return event.component.startswith(("health", "platform"))


def test_a_run_is_explained_by_its_trail(outcome: PipelineOutcome, shared_place: Place) -> None:
    """Request, configuration, data, verdicts and result of a mode, found by mode and by run."""
    place = shared_place
    started = events_of(place, "run_started", mode="btc_basis")
    (run_id,) = {event.run_id for event in started}
    assert {event.run_id for event in events_of(place, mode="btc_basis")} == {run_id}
    requested = only(events_of(place, "run_requested", run_id=run_id))
    assert requested["options"]["start"].startswith(WINDOW["start"])
    assert requested["options"]["data_dir"] == str(place.data)
    used = only(events_of(place, "configuration_used", mode="btc_basis"))
    sliced = slice_mode(current_configs(), "btc_basis")
    assert used["config_hash"] == sliced.config_hash
    read = {e.fields["dataset"]: e.fields for e in events_of(place, "data_read", mode="btc_basis")}
    assert set(read) <= set(sliced.datasets)
    landed = {e.fields["dataset"]: e.fields for e in events_of(place, "data_read", mode="")}
    assert all(landed[name]["sha256"] == found["sha256"] for name, found in read.items())
    recorded = {mode.mode: mode.run_id for mode in outcome.modes}
    result = only(events_of(place, "run_result", mode="btc_basis"))
    assert result["record"] == recorded["btc_basis"]
    summary = json.loads(
        (place.results / "runs" / result["record"] / "summary.json").read_text(encoding="utf-8")
    )
    assert result["rebalances"] == summary["rebalances"]
    assert only(events_of(place, "run_finished", run_id=run_id)) == {"outcome": "succeeded"}
    assert {e.category for e in events_of(place, "timing")} == {"performance"}
    verdicts = [e for e in events_of(place, "gate_verdict") if not of_the_platform(e)]
    found = {(e.component, e.fields["gate"], e.mode): e for e in verdicts}
    assert {
        (gate.asset, gate.check, gate.mode): (gate.status.value, gate.run_id)
        for gate in outcome.gates
        if gate.run_id
    } == {key: (event.fields["verdict"], event.run_id) for key, event in found.items()}
    assert all(event.fields["evidence"] for event in verdicts)


def test_repairs_are_counted(outcome: PipelineOutcome, shared_place: Place) -> None:
    """The repairs of a dataset are recorded with their number."""
    assert outcome.modes
    repaired = {e.fields["dataset"]: e.fields for e in events_of(shared_place, "data_repaired")}
    assert any(result["repaired"][0].isdigit() for result in repaired.values())


def test_secrets_do_not_reach_the_log(place: Place) -> None:
    """The options of a run are recorded with masked secrets."""
    assert place.run_mode("pure_lending", MODE, overrides=[f"costs.password={SECRET}"])
    (requested,) = events_of(place, "run_requested", mode="pure_lending")
    assert "costs.password=***" in requested.fields["options"]["overrides"]
    files = list((place.results / DIRECTORY).iterdir())
    assert files
    assert not any(SECRET.encode() in file.read_bytes() for file in files)


def test_a_log_that_cannot_be_written_stops_no_run(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    """The run goes on and is recorded; stderr says once that it leaves no trail, and why."""
    (place.results / DIRECTORY).write_text("in the way")
    assert place.run_mode("pure_lending", MODE) == []
    assert capfd.readouterr().err.count("EVENT-001") == 1
    (place.results / DIRECTORY).unlink()
    with pytest.raises(EventError, match="EVENT-008"):
        read_events(place.results / DIRECTORY)


def test_a_run_binds_its_errors_and_nothing_behind_it(ran: Place) -> None:
    """Errors carry the run inside the context only, and each is recorded once."""
    place = ran
    nobody = SimpleNamespace(instance=place.instance, run=None)
    with place.request().yield_for_execution(nobody):  # type: ignore[arg-type]
        assert correlation_id() == ""
    (run,) = place.instance.get_runs(limit=1)
    context = SimpleNamespace(instance=place.instance, run=run)
    with place.request().yield_for_execution(context):  # type: ignore[arg-type]
        assert correlation_id() == run.run_id
    assert correlation_id() == ""
    assert len(events_of(place, "run_requested", run_id=run.run_id)) == 1
