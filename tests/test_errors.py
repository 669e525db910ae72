"""The vocabulary of failure."""

import pickle
import re

import pytest

from basis_pipeline.errors import (
    REGISTRY,
    BasisError,
    ConfigError,
    DataError,
    Severity,
    error_from_code,
)


@pytest.mark.parametrize("code", REGISTRY)
def test_every_code_can_be_raised_and_explains_itself(code: str) -> None:
    """Each registered code belongs to exactly one error family and carries a remedy."""
    error = error_from_code(code, "it happened", where="here", available="that")
    owners = [cls for cls in BasisError.__subclasses__() if code.rsplit("-", 1)[0] in cls.families]
    assert owners == [type(error)]
    assert str(error) == (
        f"{code}: it happened | where: here | available: that | do: {REGISTRY[code].remedy}"
    )
    assert error.severity in Severity
    assert REGISTRY[code].meaning


def test_codes_of_a_family_are_numbered_without_holes() -> None:
    """Codes are only ever added at the end of their family."""
    families: dict[str, list[int]] = {}
    for code in REGISTRY:
        assert re.fullmatch(r"[A-Z]+-\d{3}", code)
        family, number = code.rsplit("-", 1)
        families.setdefault(family, []).append(int(number))
    for family, numbers in families.items():
        assert numbers == list(range(1, len(numbers) + 1)), family


def test_a_class_refuses_codes_of_another_family() -> None:
    """A data error cannot pass as a configuration error, nor an unknown code as anything."""
    with pytest.raises(ValueError, match="CONFIG-001"):
        DataError("CONFIG-001", "wrong family")
    with pytest.raises(ValueError, match="CONFIG-999"):
        ConfigError("CONFIG-999", "no such code")
    with pytest.raises(ValueError, match="NONE-001"):
        error_from_code("NONE-001", "no such family")


def test_errors_cross_process_borders() -> None:
    """An error raised in a worker process arrives whole."""
    error = DataError(
        "DATA-006", "two rows", where="a.csv", available="row 1, row 2", action="look"
    )
    revived = pickle.loads(pickle.dumps(error))
    assert type(revived) is DataError
    assert str(revived) == str(error)
