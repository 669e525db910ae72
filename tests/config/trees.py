"""Configuration directories and trees of plain values, for tests."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COMMITTED = Path(__file__).parents[2] / "configs"

Keys = tuple[str | int, ...]


def copy_tree(target: Path) -> Path:
    """Copy what `load_configs` reads of the committed configuration."""
    for name in ("modes", "venues", "share_classes", "datasets"):
        shutil.copytree(COMMITTED / name, target / name)
    return target


def leaves(tree: Any, path: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Every value of a tree that holds no other, with the keys that lead to it."""
    branches = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in branches:
        if isinstance(value, dict | list) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def put(tree: Any, path: Keys, value: Any) -> None:
    """Set the value a path leads to."""
    *parents, last = path
    for key in parents:
        tree = tree[key]
    tree[last] = value


def backwards(tree: Any) -> Any:
    """The same tree with the keys of every mapping in reverse order."""
    if isinstance(tree, dict):
        return {key: backwards(tree[key]) for key in reversed(list(tree))}
    return [backwards(value) for value in tree] if isinstance(tree, list) else tree
