"""Errors: their codes, their parts, and the secrets that they never show."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime

import pytest

from basis_pipeline.error_codes import REGISTRY
from basis_pipeline.errors import (
    BacktestError,
    BasisError,
    ConfigError,
    DataError,
    ResultsError,
    correlation,
    correlation_id,
    error_from_code,
)
from tests.planted import SECRETS

SECRET = SECRETS[0]


def test_every_code_can_be_raised_and_explains_itself() -> None:
    """Each registered code belongs to exactly one error family and carries a remedy."""
    for code, entry in REGISTRY.items():
        error = error_from_code(code, "it happened", where="here", available="that")
        owners = [c for c in BasisError.__subclasses__() if code.rpartition("-")[0] in c.families]
        assert owners == [type(error)], code
        assert str(error) == (
            f"{code}: it happened | where: here | available: that | do: {entry.remedy}"
        )
        assert error.severity is entry.severity, code


def test_a_class_refuses_codes_of_another_family() -> None:
    """A data error cannot pass as a configuration error, nor an unknown code as anything."""
    with pytest.raises(ValueError, match="CONFIG-001"):
        DataError("CONFIG-001", "wrong family")
    with pytest.raises(ValueError, match="CONFIG-999"):
        ConfigError("CONFIG-999", "no such code")
    with pytest.raises(ValueError, match="NONE-001"):
        error_from_code("NONE-001", "no such family")


def test_errors_cross_process_borders() -> None:
    """An error raised in a worker process arrives whole, with its own time and run."""
    with correlation("run-7"):
        error = DataError(
            "DATA-006", "two rows", where="a.csv", action="look", context={"rows": [1, 2]}
        )
    revived = pickle.loads(pickle.dumps(error))
    assert type(revived) is DataError
    assert (str(revived), revived.args) == (str(error), error.args)
    result, kept = revived.as_json(), error.as_json()
    assert result == kept
    assert (result["correlation_id"], result["context"]) == ("run-7", {"rows": [1, 2]})


def test_an_error_carries_the_run_it_was_made_in() -> None:
    """The correlation id is bound for a block, nests, and follows a copied context."""
    assert correlation_id() == ConfigError("CONFIG-007", "outside").correlation_id == ""
    with correlation("outer"), pytest.raises(BacktestError) as caught, correlation("inner"):
        raise BacktestError("BT-001", "inside")
    assert caught.value.correlation_id == "inner"
    with correlation("outer"), ThreadPoolExecutor(1) as pool:
        bare = pool.submit(correlation_id).result()
        copied = pool.submit(copy_context().run, correlation_id).result()
    assert (bare, copied, correlation_id()) == ("", "outer", "")


def test_an_error_is_json_with_its_stack() -> None:
    """Every part a log needs, in values that JSON has; the cause is in the stack."""
    before = datetime.now(UTC)
    try:
        try:
            dict[str, str]()["absent"]
        except KeyError as cause:
            raise ResultsError(
                "RS-002", "no run", where="runs", available="a, b", context={"limit": float("nan")}
            ) from cause
    except ResultsError as error:
        result = json.loads(json.dumps(error.as_json(), allow_nan=False))
    trace = result.pop("stack_trace")
    assert "KeyError: 'absent'" in trace
    assert "test_an_error_is_json_with_its_stack" in trace
    assert before <= datetime.fromisoformat(result.pop("timestamp")) <= datetime.now(UTC)
    assert result == {
        "code": "RS-002",
        "severity": "ERROR",
        "phase": 4,
        "component": "results store",
        "what": "no run",
        "where": "runs",
        "available": "a, b",
        "action": "use one of the runs listed",
        "document": "docs/errors.md#rs-002",
        "context": {"limit": "nan"},
        "correlation_id": "",
    }


def test_a_block_says_everything_once_and_leaves_nothing_empty() -> None:
    """The block has what is required, where it belongs and was looked for, and what to do."""
    error = ConfigError(
        "CONFIG-003",
        "there is no such file",
        where="/etc/basis",
        available="a.yaml, b.yaml",
        context={"required": "mode.yaml", "expected": "/etc/basis", "searched": "/etc, /usr"},
    )
    assert error.block().splitlines() == [
        "CONFIG-003: there is no such file",
        "  required:  mode.yaml",
        "  expected:  /etc/basis",
        "  searched:  /etc, /usr",
        "  available: a.yaml, b.yaml",
        "  do:        restore the file or directory",
        "  see:       docs/errors.md#config-003",
    ]
    assert ConfigError("CONFIG-012", "none").block().splitlines() == [
        "CONFIG-012: none",
        "  do:  give a positive capital",
        "  see: docs/errors.md#config-012",
    ]


@pytest.mark.parametrize(
    "planted",
    [
        f"postgresql://reader:{SECRET}@host/db",
        f"password={SECRET}",
        f"token: '{SECRET}'",
        f"api_key={SECRET}, and more",
        f"Authorization: Bearer {SECRET}",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
    ],
)
def test_a_secret_is_in_nothing_an_error_says(planted: str) -> None:
    """Whichever part it was planted in: text, block, JSON, stack, pickle and representation."""
    try:
        try:
            raise OSError(planted)
        except OSError as cause:
            raise ConfigError(
                "CONFIG-002",
                planted,
                where=planted,
                available=planted,
                action=planted,
                component="settings",
                context={"url": planted, "nested": [{"url": planted}], planted: "key"},
            ) from cause
    except ConfigError as error:
        caught = error
    shown = [str(caught), repr(caught), caught.block(), json.dumps(caught.as_json())]
    shown.append(pickle.dumps(caught).decode("latin-1"))
    for text in shown:
        assert SECRET not in text
    assert "***" in shown[0]


def test_what_stands_under_a_secret_name_is_masked() -> None:
    """The name of a field marks its value as a secret."""
    for name in ["password", "db_passwd", "secret", "api_key", "apiKey", "token", "authorization"]:
        error = ConfigError("CONFIG-002", "refused", context={name: SECRET, "venue": "bybit"})
        assert error.context == {name: "***", "venue": "bybit"}
        assert SECRET not in error.block() + json.dumps(error.as_json()), name


def test_what_is_no_secret_stays_readable() -> None:
    """Facts of a message are not masked."""
    for text in [
        "lending.token: Field required",
        "lending.token=USDT is not offered",
        "aave_v3:aToken:aUSDT at 2024-06-01T08:00Z",
        "a.csv, line 7: open is 'n/k'; b.csv, line 9",
        "the key 'bybit' is given twice",
    ]:
        assert ConfigError("CONFIG-005", text).what == text
