"""Who may call, how much and how long."""

import base64
from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from basis_pipeline.errors import CommandError
from basis_pipeline.operations.audit_log import log_directory, read_events
from basis_pipeline.results.database.connection import connect, writing
from basis_pipeline.service import guard
from basis_pipeline.service.app import serve
from basis_pipeline.settings import Settings
from tests.service.conftest import called

TOKEN = "correct-horse-battery"
ELSEWHERE = ("192.0.2.7", 50000)
WORDS = {"by": "ann", "reason": "because"}


@pytest.fixture
def guarded(settings: Settings) -> Settings:
    """With a token."""
    return settings.model_copy(update={"api_token": SecretStr(TOKEN)})


@pytest.fixture
def elsewhere(guarded: Settings) -> Iterator[TestClient]:
    """Yield a client on another machine, of a service with a token."""
    with called(guarded, ELSEWHERE) as (client, _):
        yield client


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def test_without_a_token_only_this_machine_may_ask(settings: Settings, api: TestClient) -> None:
    """By an address of its own: a name that somebody else has pointed here is none."""
    with called(settings, ELSEWHERE) as (client, _):
        assert client.get("/control").status_code == 403
        assert client.post("/control/halt", json=WORDS).status_code == 403
    assert api.get("/control", headers={"Host": "evil.example:8000"}).status_code == 403
    assert api.get("/control", headers={"Host": "localhost:8000"}).status_code == 200


def test_a_token_is_needed_to_write_and_from_elsewhere(
    guarded: Settings, elsewhere: TestClient
) -> None:
    """As bearer, or as the password that a browser asks for; health alone is free."""
    assert elsewhere.get("/health").status_code == 200
    rejected = elsewhere.get("/runs")
    assert (rejected.status_code, rejected.json()["error_code"]) == (401, "API-006")
    assert "www-authenticate" in rejected.headers
    assert elsewhere.get("/runs", headers=bearer(TOKEN)).status_code == 200
    basic = base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
    assert elsewhere.get("/runs", headers={"Authorization": f"Basic {basic}"}).status_code == 200
    for wrong in (
        bearer("wrong"),
        bearer(""),
        {"Authorization": "Basic ???"},
        {"Authorization": TOKEN},
    ):
        assert elsewhere.get("/runs", headers=wrong).status_code == 401
    with called(guarded) as (here, _):
        assert here.get("/runs").status_code == 200
        assert here.post("/control/halt", json=WORDS).status_code == 401
        assert here.post("/control/resume", json=WORDS, headers=bearer(TOKEN)).status_code == 200


def test_no_page_of_another_site_can_write(api: TestClient) -> None:
    """Neither by script nor by a form, and no answer says that it may."""
    foreign = {"Origin": "https://evil.example"}
    assert api.post("/control/halt", json=WORDS, headers=foreign).status_code == 403
    form = {"content-type": "text/plain"}
    assert api.post("/control/halt", content="{}", headers=form).status_code == 422
    own = {"Origin": "http://127.0.0.1:8000"}
    answer = api.post("/control/resume", json=WORDS, headers=own)
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert api.options("/control", headers=foreign).status_code == 405


def test_another_address_needs_a_token(settings: Settings) -> None:
    """API-001 before anything listens."""
    with pytest.raises(CommandError, match=r"API-001.*no token"):
        serve(settings, "0.0.0.0", 8000)


@pytest.mark.parametrize("announced", [True, False])
def test_a_large_body_is_not_read(api: TestClient, *, announced: bool) -> None:
    """Whether its size is announced, or it comes in pieces."""
    piece = b" " * 100_000
    content = piece * 11 if announced else (piece for _ in range(11))
    answer = api.post("/backtests", content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error_code"]) == (413, "API-007")


def test_an_answer_that_takes_too_long_is_given_up(
    settings: Settings, api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 while another holds the database; the same key finds what became of it."""
    monkeypatch.setattr(guard, "SECONDS", 0.5)
    call = {"json": {"mode": "pure_lending"}, "headers": {"Idempotency-Key": "patient"}}
    with writing(connect(settings.results_db_url)):
        answer = api.post("/backtests", **call)
        assert (answer.status_code, answer.json()["error_code"]) == (503, "API-008")
    monkeypatch.setattr(guard, "SECONDS", 30.0)
    assert api.post("/backtests", **call).status_code == 202


def test_a_fault_of_the_program_is_answered_and_logged(settings: Settings) -> None:
    """Without its text, which may hold anything."""
    with called(settings) as (api, context):
        context.lookups = None  # type: ignore[assignment]
        answer = api.get("/gates", headers={"x-correlation-id": "broken"})
        assert (answer.status_code, answer.json()["error_code"]) == (500, "API-009")
        assert "NoneType" not in answer.text
    (event,) = read_events(log_directory(settings), run_id="broken")
    assert "NoneType" in event.fields["stack_trace"]
