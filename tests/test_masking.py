"""Secrets in what is logged."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from basis_pipeline.masking import masked, masked_text
from basis_pipeline.settings import SecretUrl
from tests.planted import SECRETS

SECRET = SECRETS[0]


def test_a_field_that_names_a_secret_is_masked_at_any_depth() -> None:
    """Nested in mappings and lists, as text or in a container under the name."""
    for name in [
        "password",
        "DB_PASSWORD",
        "dbPassword",
        "passphrase",
        "secret",
        "client-secret",
        "api_key",
        "apiKey",
        "API_KEYS",
        "private_key",
        "key",
        "token",
        "access_token",
        "authorization",
        "session_cookie",
        "aws_credentials",
    ]:
        value = masked({"a": [{name: SECRET}, {name: [SECRET]}, {name: {"of": SECRET}}]})
        assert SECRET not in str(value), name
        assert masked(SECRET, name) == "***"


def test_a_secret_inside_text_is_masked() -> None:
    """Messages and stack traces quote URLs, headers and assignments."""
    for text in [
        f"postgresql://desk:{SECRET}@db:5432/runs",
        f"postgresql+psycopg2://desk:{SECRET}@db/runs and more",
        f"could not reach 'https://{SECRET}@host/x'",
        f"redis://:p/{SECRET}@host",
        f"login as desk:{SECRET}@db failed",
        f"GET https://host/x?api_key={SECRET}&a=b",
        f"password={SECRET}",
        f'{{"password": "{SECRET}"}}',
        f"{{'token': '{SECRET}'}}",
        f"Authorization: Bearer {SECRET}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    ]:
        assert SECRET not in masked_text(text)
        assert SECRET not in str(
            masked({"text": text, "more": [text], text: 1, "url": SecretUrl(text)})
        )


def test_what_is_no_secret_stays_readable() -> None:
    """Coins, partition keys, times, paths and amounts stay in the log."""
    for name, value in [
        ("token", "USDT"),
        ("token", "weETH"),
        ("tokens", ["EIGEN", "ETHFI"]),
        ("partition_key", "usdt_market_neutral"),
        ("run_key", "2024-06-01"),
        ("tokens", 12.5),
        ("text", "lending token: USDT at 2024-06-01T08:00 = 1.05"),
        ("where", "/data/market_data/a.csv, line 3"),
        ("nothing", None),
    ]:
        assert masked(value, name) == value


def test_a_number_under_a_password_is_masked() -> None:
    """A PIN is a secret too."""
    assert masked({"password": 1234, "count": 1234}) == {"password": "***", "count": 1234}


def test_whatever_is_logged_becomes_json_values() -> None:
    """Paths, sets, errors, cycles and objects that cannot be printed."""

    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError("no")

    cycle: list[object] = []
    cycle.append(cycle)
    assert masked({"path": Path("/a"), "set": {2, 1}, "error": ValueError("bad")}) == {
        "path": "/a",
        "set": ["1", "2"],
        "error": "ValueError: bad",
    }
    assert masked(float("nan")) == "nan"
    assert masked(Unprintable()) == "a Unprintable that cannot be shown"
    assert "…" in str(masked(cycle))


@given(st.text(max_size=40), st.text("abcdefghijklmnop0123456789", min_size=9, max_size=20))
def test_no_surroundings_uncover_a_password_in_a_url(around: str, secret: str) -> None:
    """With any text before it."""
    assert f":{secret}@" not in masked_text(f"{around}https://desk:{secret}@host/{around}")
