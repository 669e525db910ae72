"""The sensor `alerts` on a real instance, with a real receiver that is down, then up."""

import dagster as dg
import pytest

from basis_pipeline.operations.control import Limit, Measurement, enforce_limits, halt, resume
from basis_pipeline.settings import Settings, load_settings
from tests.orchestration.conftest import Place
from tests.receiver import Receiver, receiving

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def tick(place: Place, cursor: str | None) -> str:
    """One tick of the sensor; the cursor after it."""
    sensor = place.defs.get_repository_def().get_sensor_def("alerts")
    context = dg.build_sensor_context(instance=place.instance, cursor=cursor)
    result = sensor.evaluate_tick(context)
    assert result.cursor is not None
    return result.cursor


def kinds(receiver: Receiver) -> list[tuple[str, str]]:
    """Kind and subject of what has arrived, in order."""
    return [(a["kind"], a["subject"]) for d in receiver.received for a in d["alerts"]]  # type: ignore[attr-defined]


def settings_of(place: Place, patch: pytest.MonkeyPatch) -> Settings:
    """Return settings of the place with a webhook that nobody listens to."""
    with receiving() as known:
        url = known.url.get_secret_value()
    patch.setenv("BASIS_ALERT_WEBHOOK_URL", url)
    patch.setenv("BASIS_RESULTS_DIR", str(place.results))
    patch.setenv("BASIS_DATA_DIR", str(place.data))
    return load_settings()


@pytest.fixture
def settings(place: Place, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return the settings of an empty place."""
    return settings_of(place, monkeypatch)


def port_of(settings: Settings) -> int:
    """Return the port of the webhook."""
    return int(settings.alert_webhook_url.get_secret_value().split(":")[2].split("/")[0])


def test_a_halt_while_the_receiver_is_down_is_delivered_later(
    place: Place, settings: Settings
) -> None:
    """ALERT, HALT and NORMAL, in order, once each, when the receiver answers again."""
    failed = [Measurement(Limit.FAILED_GATES, 1.0, "", "raw/okx readable")]
    cursor = tick(place, None)
    enforce_limits(settings, failed)
    cursor = tick(place, cursor)
    halt(settings, reason="odd fills", by="ann")
    cursor = tick(place, cursor)
    resume(settings, reason="confirmed", by="ann")
    with receiving(port_of(settings)) as receiver:
        cursor = tick(place, cursor)
        assert receiver.received == []  # it failed a short while ago
        cursor = cursor.replace('"retry_at": ', '"retry_at": -')
        cursor = tick(place, tick(place, cursor))
        assert kinds(receiver) == [
            ("control_changed", "ALERT by the limits"),
            ("control_changed", "HALT by ann"),
            ("control_changed", "NORMAL by ann"),
        ]


def test_without_the_database_a_halt_is_delivered_once(
    place: Place, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the server of the results database is down, and the receiver was down at first."""
    monkeypatch.setenv("BASIS_RESULTS_DB_URL", NOWHERE)
    halt(load_settings(), reason="odd fills", by="ann")
    cursor = tick(place, None)
    with receiving(port_of(settings)) as receiver:
        cursor = cursor.replace('"retry_at": ', '"retry_at": -')
        for _ in range(2):
            cursor = tick(place, cursor)
        assert kinds(receiver) == [("control_changed", "HALT by ann")]


def test_degraded_health_is_an_alert_for_each_component_at_fault(
    ran: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its code; none for what it affects, and none again while its status lasts."""
    place, settings = ran, settings_of(ran, monkeypatch)
    (path,) = place.data.glob("market_data/derivatives/futures_ohlcv/bybit_BTCUSDT_perp_1h_*.csv")
    path.unlink()
    with receiving(port_of(settings)) as receiver:
        cursor = None
        for _ in range(2):
            place.defs.resolve_job_def("observe_health").execute_in_process(instance=place.instance)
            cursor = tick(place, cursor)
        health = [s for kind, s in kinds(receiver) if kind == "health_degraded"]
        assert health == ["feed_bybit_btcusdt_perp"]
        assert "DATA-001" in str(receiver.received)
