"""Every call of the HTTP API, as a caller makes it."""

import io
import re
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from basis_pipeline.operations.audit_log import log_directory, read_events
from basis_pipeline.operations.control import last_known
from basis_pipeline.operations.control.model import ControlState
from basis_pipeline.operations.requests.queue import requests_of
from basis_pipeline.results.store import read_run
from basis_pipeline.service.app import create_app
from basis_pipeline.settings import SecretUrl, Settings
from tests.service.conftest import HERE, called, places

LENDING = {"mode": "pure_lending"}


def code(answer: object) -> tuple[int, str]:
    """Return status and error code of an answer."""
    return answer.status_code, answer.json()["error_code"]  # type: ignore[attr-defined]


def test_a_service_whose_database_is_down_is_not_ready(settings: Settings, tmp_path: Path) -> None:
    """Although the last known control state, kept beside the results, can still be shown."""
    nowhere = SecretUrl("postgresql://nobody@127.0.0.1:1/none")
    down = settings.model_copy(update={"results_dir": tmp_path, "database": nowhere})
    last_known.confirm(down, ControlState())
    with called(down) as (client, _):
        found = client.get("/health/ready")
        assert client.get("/control").json()["state"] == "NORMAL"
    assert found.status_code == 503
    assert found.json()["checks"]["results_store"] == "RS-008"


def test_alive_ready_and_every_component(api: TestClient) -> None:
    """Components in the one shape, the worst first, with those that depend on them."""
    assert api.get("/health").json()["status"] == "alive"
    found = api.get("/health/services").json()
    assert api.get("/health/ready").json()["ready"]
    shape = {"service", "status", "latency_ms", "last_check", "details", "metadata"}
    by_name = {service["service"]: service for service in found["services"]}
    assert all(set(service) == shape for service in found["services"])
    assert by_name["results_store"]["status"] == "healthy"
    assert by_name["results_store"]["latency_ms"] > 0
    assert by_name["mode/pure_lending"]["metadata"]["dependants"] == []
    assert sum(found["summary"].values()) == len(found["services"])
    one = api.post("/health/services", json={"service": "results_store"}).json()
    assert one["last_check"] > by_name["results_store"]["last_check"]
    assert code(api.post("/health/services", json={"service": "x"})) == (404, "API-004")
    assert api.get("/health/latency?window=1d").json()["operations"] == []


def test_the_page_does_not_wait_for_the_first_snapshot(settings: Settings) -> None:
    """Parts that need one show that it is being made; control and the log are there at once."""
    app, _ = create_app(settings)  # without its loop, which makes snapshots
    text = TestClient(app, "http://127.0.0.1:8000", client=HERE).get("/").text
    assert text.count("The first snapshot is being collected.") == 5
    assert "NORMAL" in text
    assert "request_served" in text


def test_a_request_is_accepted_once_and_can_be_canceled(api: TestClient) -> None:
    """The key makes it one request; another body under it is a conflict."""
    call = {"json": {**LENDING, "capital": 5e4}, "headers": {"Idempotency-Key": "mine"}}
    first, again = (api.post("/backtests", **call) for _ in range(2))
    assert (first.status_code, first.headers["location"]) == (202, "/backtests/mine")
    assert first.json() == again.json()
    assert first.json()["status"] == "queued"
    assert code(api.post("/backtests", **{**call, "json": LENDING})) == (409, "BT-006")
    assert api.delete("/backtests/mine").json()["status"] == "canceled"
    assert api.get("/backtests/mine").json()["progress"] == {"ahead": 0, "done": 1.0}
    assert code(api.get("/backtests/mine/result")) == (409, "API-010")
    assert code(api.delete("/backtests/done")) == (409, "API-010")
    assert code(api.delete("/backtests/nobody")) == (404, "API-004")


@pytest.mark.parametrize(
    ("body", "expected", "path"),
    [
        ({**LENDING, "capitol": 1}, (422, "API-005"), "body.capitol"),
        ({**LENDING, "capital": "1"}, (422, "API-005"), "body.capital"),
        ({**LENDING, "capital": -1}, (422, "API-005"), "body.capital"),
        ({}, (422, "API-005"), "body.mode"),
        ({"mode": "pure_landing"}, (404, "CONFIG-007"), ""),
        ({**LENDING, "overrides": {"costs.enabeld": False}}, (409, "CONFIG-010"), ""),
        ({**LENDING, "start": "2024-02-10", "end": "2024-02-01"}, (409, "CONFIG-011"), ""),
    ],
)
def test_what_cannot_be_run_is_not_accepted(
    api: TestClient, settings: Settings, body: dict[str, object], expected: object, path: str
) -> None:
    """422 with the path of the field where the form is wrong; nothing is queued."""
    before = len(requests_of(settings))
    found = api.post("/backtests", json=body)
    assert code(found) == expected
    assert path in [e["path"] for e in found.json()["context"].get("errors", [{"path": ""}])]
    assert len(requests_of(settings)) == before


def test_a_result_with_its_verdicts_and_tables(api: TestClient, settings: Settings) -> None:
    """As they are kept: by JSON, CSV and Parquet, whole and in ranges."""
    run_id = api.get("/backtests/done").json()["run_id"]
    result = read_run(settings.results_dir / "runs" / run_id)
    assert (
        api.get("/backtests/done/result").json()["final_equity"] == result.summary["final_equity"]
    )
    assert len(api.get("/backtests/done/verdicts").json()["verdicts"]) > 10
    equity = result.frames["equity"]
    where = "/backtests/done/tables/equity"
    whole = pd.read_parquet(io.BytesIO(api.get(f"{where}?format=parquet").content))
    pd.testing.assert_frame_equal(whole, equity, check_dtype=False)
    between = "start=2024-01-05T00:00:00Z&end=2024-01-05T23:00:00Z"
    part = api.get(f"{where}?{between}&offset=1&limit=5").json()
    assert part["rows"] == 5
    assert part["columns"]["timestamp"][0] == "2024-01-05T01:00:00Z"
    at = equity["timestamp"] == pd.Timestamp("2024-01-05T01:00Z")
    assert part["columns"]["equity"][0] == equity.loc[at, "equity"].item()
    lines = api.get(f"{where}?format=csv&{between}").text.splitlines()
    assert len(lines) == 25
    cut = api.get(f"{where}?format=parquet&limit=3").content
    assert len(pd.read_parquet(io.BytesIO(cut))) == 3
    assert code(api.get("/backtests/done/tables/nothing")) == (422, "API-005")


def test_recorded_runs(api: TestClient) -> None:
    """Listed and one by one, by the beginning of its identity too."""
    (row,) = api.get("/runs?mode=pure_lending").json()["runs"]
    assert "path" not in row
    assert api.get(f"/runs/{row['run_id'][:8]}").json()["run_id"] == row["run_id"]
    assert api.get(f"/runs/{row['run_id']}/tables/events?limit=1").json()["rows"] == 1
    assert api.get("/runs?mode=btc_basis").json() == {"runs": [], "before": None}
    assert api.get(f"/runs?since={row['created_at']}").json()["runs"] == [row]
    assert api.get(f"/runs?before={row['number']}").json()["runs"] == []
    assert code(api.get("/runs/0000")) == (404, "RS-002")


def test_pages_of_requests(api: TestClient) -> None:
    """The latest first; `before` leads to the next page, without holes or repetitions."""
    for number in range(5):
        api.post("/backtests", json=LENDING, headers={"Idempotency-Key": f"page-{number}"})
    seen, before = [], None
    while before or not seen:
        query = f"limit=2{f'&before={before}' if before else ''}"
        page = api.get(f"/backtests?{query}").json()
        seen += [entry["sequence"] for entry in page["backtests"]]
        before = page["before"]
    assert seen == sorted(seen, reverse=True) == list(range(max(seen), 0, -1))
    only = api.get("/backtests?status=queued&mode=pure_lending&limit=200").json()["backtests"]
    assert {entry["status"] for entry in only} == {"queued"}


def test_an_answer_that_has_not_changed_is_not_sent_again(api: TestClient) -> None:
    """304 for the ETag that the caller has."""
    first = api.get("/runs")
    again = api.get("/runs", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert api.get("/runs", headers={"If-None-Match": '"other"'}).status_code == 200


def test_halting_and_resuming(api: TestClient) -> None:
    """Nothing is accepted while work is halted; who and why are recorded."""
    words = {"by": "ann", "reason": "okx looks wrong"}
    assert api.post("/control/halt", json=words).json()["changed"]
    assert not api.post("/control/halt", json=words).json()["changed"]
    assert code(api.post("/backtests", json=LENDING)) == (409, "BT-005")
    state = api.get("/control").json()
    assert (state["state"], state["by"], state["reason"]) == ("HALT", *words.values())
    assert api.post("/control/resume", json=words).json()["state"] == "NORMAL"
    assert code(api.post("/control/halt", json={"by": " ", "reason": "x"})) == (422, "API-005")


def test_a_call_can_be_followed_through_the_log(api: TestClient, settings: Settings) -> None:
    """Its id is given or made, is in the answer, in errors and in the events it causes."""
    given = {"x-correlation-id": "call-7", "Idempotency-Key": "followed"}
    answer = api.post("/backtests", json=LENDING, headers=given)
    assert answer.headers["x-correlation-id"] == answer.json()["correlation_id"] == "call-7"
    events = read_events(log_directory(settings), run_id="call-7")
    assert [event.type for event in events] == ["request_accepted"]
    assert api.get("/events?run=call-7").json()["events"][0]["fields"]["request_id"] == "followed"
    error = api.get("/nothing", headers={"x-correlation-id": "not one!"})
    assert re.fullmatch("[0-9a-f]{32}", error.json()["correlation_id"])


def test_events_are_filtered(api: TestClient) -> None:
    """By the filters of the command."""
    found = api.get("/events?type=request_served&category=audit&limit=1").json()["events"]
    assert [event["type"] for event in found] == ["request_served"]
    assert datetime.fromisoformat(found[0]["at"]).tzinfo
    assert api.get("/events?since=1h&until=2h").json()["events"] == []
    assert code(api.get("/events?type=nonsense")) == (422, "API-005")
    assert code(api.get("/events?colour=red")) == (422, "API-005")


def test_gates_without_a_pipeline_run(api: TestClient) -> None:
    """None were evaluated; an unknown one is not found."""
    assert api.get("/gates?changed=true").json()["gates"] == []
    assert code(api.get("/gates/no_such_gate")) == (404, "API-004")


def test_metrics_can_be_read_by_prometheus(api: TestClient) -> None:
    """Calls by route, the queue, health and the state of control."""
    for path in ("/health", "/no/such/place"):
        api.get(path)
    families = {f.name: f for f in text_string_to_metric_families(api.get("/metrics").text)}
    assert {"basis_http_requests", "basis_http_request_seconds", "basis_state_lookups"} <= set(
        families
    )
    routes = {sample.labels["route"] for sample in families["basis_http_requests"].samples}
    assert {"/health", "none"} <= routes
    assert not [route for route in routes if "done" in route]
    states = {s.labels["state"]: s.value for s in families["basis_control_state"].samples}
    assert states == {"NORMAL": 1, "ALERT": 0, "HALT": 0, "SHUTDOWN": 0}
    done = [s for s in families["basis_backtest_requests"].samples if s.labels["state"] == "done"]
    assert done[0].value == 1


def test_no_answer_names_a_place_of_this_machine(api: TestClient, settings: Settings) -> None:
    """Neither components, events, runs nor errors."""
    paths = ("/health/services", "/events?limit=1000", "/runs", "/runs/0000", "/backtests/done")
    for path in (*paths, "/backtests/done/result", "/backtests/done/verdicts", "/control"):
        text = api.get(path).text
        assert not [place for place in places(settings) if place in text], path


def test_the_stack_is_shown_only_while_debugging(settings: Settings) -> None:
    """BASIS_DEBUG=true adds it, without paths."""
    for debug in (False, True):
        with called(settings.model_copy(update={"debug": debug})) as (api, _):
            problem = api.get("/runs/0000").json()
            assert ("stack_trace" in problem) == debug
            assert "/basis_pipeline/" not in problem.get("stack_trace", "")[:0]
            shape = {"error_code", "message", "component", "context", "timestamp", "correlation_id"}
            assert set(problem) - {"stack_trace"} == shape
