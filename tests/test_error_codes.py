"""The registry holds every failure that can happen and no other: each code is provoked here."""

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from basis_pipeline.error_codes import (
    FAMILIES,
    PHASES,
    REGISTRY,
    RESERVED,
    Severity,
    markdown,
    why_reserved,
)
from basis_pipeline.errors import BasisError
from basis_pipeline.settings import project_root
from tests.provocations import (
    automation,
    backtests,
    configuration,
    data,
    events,
    fetching,
    health,
    platform,
    service,
    store,
)

Provocation = Callable[[Path], object]

TABLES: list[dict[str, Provocation]] = [
    module.PROVOCATIONS
    for module in (
        *(configuration, data, fetching, backtests, store, health, events, platform),
        *(automation, service),
    )
]
PROVOCATIONS = {code: provoke for table in TABLES for code, provoke in table.items()}

CODE = re.compile(r"[A-Z]+(?:-MGR)?-\d{3}")
PACKAGE = project_root() / "basis_pipeline"


def test_every_registered_code_has_a_provocation() -> None:
    """Every registered failure has been seen to happen."""
    assert sorted(PROVOCATIONS) == sorted(REGISTRY)
    assert sum(map(len, TABLES)) == len(PROVOCATIONS)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: next(iter(table)))
def test_a_failure_has_its_code(table: dict[str, Provocation], tmp_path: Path) -> None:
    """Failures are caused for real: broken files, full disks, killed processes."""
    found: dict[str, object] = {}
    for code, provoke in table.items():
        place = tmp_path / code
        place.mkdir()
        try:
            found[code] = provoke(place)
        except BasisError as error:
            found[code] = error.code
        except Exception as error:  # noqa: BLE001 - the other codes are to be seen as well
            found[code] = error
    assert {code: seen for code, seen in found.items() if seen != code} == {}


def literals() -> Iterator[tuple[str, ast.AST, ast.AST]]:
    """Yield every code in the package outside of the registry, with its node and parent."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name == "error_codes.py":
            continue
        for parent in ast.walk(ast.parse(path.read_text())):
            for child in ast.iter_child_nodes(parent):
                text = child.value if isinstance(child, ast.Constant) else None
                if isinstance(text, str) and CODE.fullmatch(text):
                    yield text, child, parent


def is_raised(node: ast.AST, parent: ast.AST) -> bool:
    """Return whether a code is an argument of a call, or is assigned."""
    if isinstance(parent, ast.Call):
        return node in parent.args
    return isinstance(parent, ast.Assign | ast.IfExp | ast.arguments)


def test_the_codes_in_the_source_are_those_of_the_registry() -> None:
    """A misspelt code would be a ValueError on failure; a code that is never raised is unused."""
    found = list(literals())
    assert len(found) > 100
    assert {code for code, *_ in found} <= set(REGISTRY)
    raised = {code for code, node, parent in found if is_raised(node, parent)}
    assert sorted(raised) == sorted(REGISTRY)


def test_ranges_hold_registered_and_reserved_numbers_and_no_others() -> None:
    """Numbers run from 001 without gaps; the rest of the range is reserved with a reason."""
    for name, family in FAMILIES.items():
        every = [f"{name}-{number:03d}" for number in range(1, family.size + 1)]
        own = [code for code in REGISTRY if REGISTRY[code].family == name]
        codes, reason = RESERVED[name]
        assert [*own, *codes] == every
        assert bool(codes) == bool(reason)
        for code in codes:
            assert why_reserved(code) == reason
    assert {entry.family for entry in REGISTRY.values()} <= FAMILIES.keys()
    assert why_reserved("DATA-001") == why_reserved("NONE-001") == ""


def test_every_entry_is_complete() -> None:
    """Severity, phase, component and three different sentences."""
    for code, entry in REGISTRY.items():
        assert CODE.fullmatch(entry.code), code
        assert entry.severity in Severity, code
        assert entry.phase in PHASES, code
        sentences = {entry.component, entry.meaning, entry.cause, entry.remedy}
        assert len(sentences) == 4, code
        for text in sentences:
            assert text, code
            assert text == text.strip().removesuffix("."), code


def test_phases_and_severities_are_those_of_the_families() -> None:
    """Configuration is phase 1, data phase 2; input errors are never critical."""
    phases = {name: family.phase for name, family in FAMILIES.items()}
    assert {phases[name] for name in ("CONFIG", "CONFIG-MGR")} == {1}
    assert phases["DATA"] == phases["FETCH"] == 2
    assert {phases[name] for name in ("MATH", "COMPONENT", "BT")} == {3}
    assert {phases[name] for name in ("RS", "HEALTH", "EVENT", "API", "PLATFORM")} == {4}
    meanings = Counter(entry.meaning for entry in REGISTRY.values())
    assert set(meanings.values()) == {1}
    for entry in REGISTRY.values():
        if entry.family in ("CONFIG", "CONFIG-MGR", "DATA", "API"):
            assert entry.severity is Severity.ERROR  # what was asked for is rejected, and no more


def test_the_reference_page_is_up_to_date() -> None:
    """`python -m basis_pipeline.error_codes > docs/errors.md` after every change."""
    page = (project_root() / "docs" / "errors.md").read_text()
    assert page == markdown()
    for code in REGISTRY:
        assert f"\n### {code}\n" in page
