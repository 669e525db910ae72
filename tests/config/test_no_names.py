"""The universe is configuration: the code names no coin, venue, token or currency."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from basis_pipeline.config import Configs

PACKAGE = Path(__file__).parents[2] / "basis_pipeline"
# The sample describes a market of its own, and the glossary explains kinds of data by examples.
# A fetcher speaks the protocol of one publisher, whose names its requests are made of.
EXEMPT = ("market/sample/", "market/glossary.py", "market/fetch/")
PROTOCOLS = re.compile("binance_archive|(?i:ethereum_rpc)")
# An option's help shows what may be written.
HELP = ("commands/options.py",)


@pytest.fixture(scope="module")
def names(configs: Configs) -> set[str]:
    """Every symbol, venue and chain that the shipped configuration knows."""
    found = {*configs.venues, *configs.share_classes}
    for config in configs.datasets.values():
        found |= set(config.of.keys.values())
    for mode in configs.modes.values():
        found |= {mode.asset, mode.lending.token, mode.staking.lst}
    # A word of the language too.
    return found - {"curve"}


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Return line and text of every string of a file except docstrings, f-strings included."""
    tree = ast.parse(path.read_text())
    bodies = (getattr(node, "body", None) for node in ast.walk(tree))
    first = (body[0] for body in bodies if isinstance(body, list) and body)
    said = {id(node.value) for node in first if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.lineno, node.value


def test_no_name_of_the_universe_stands_in_the_code(names: set[str]) -> None:
    """Not in a type, a list or an f-string: a new coin or venue needs only a file."""
    listed = "|".join(re.escape(name) for name in sorted(names))
    word = re.compile(rf"(?<![A-Za-z0-9])(?:{listed})(?![A-Za-z0-9])")
    found = [
        f"{path.relative_to(PACKAGE)}:{line} {text[:60]!r}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if not path.relative_to(PACKAGE).as_posix().startswith((*EXEMPT, *HELP))
        for line, text in texts(path)
        if word.search(PROTOCOLS.sub("", text))
    ]
    assert found == []
