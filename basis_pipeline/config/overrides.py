"""Dotted overrides: `hedge.venues={bybit: 1.0}` replaces the value it names, mappings too."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from basis_pipeline.config.loading import parse_yaml, validate
from basis_pipeline.config.mode import ModeConfig
from basis_pipeline.errors import ConfigError


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Parse `key=value` texts with YAML values.

    Raises
    ------
    ConfigError: CONFIG-MGR-001 when one is malformed, CONFIG-MGR-002 when a key is given twice,
        CONFIG-MGR-004 when a value is not valid YAML.
    """
    parsed: dict[str, Any] = {}
    for text in assignments:
        key, separator, value = text.partition("=")
        key = key.strip()
        if not separator or not key:
            raise ConfigError("CONFIG-MGR-001", f"{text!r} is not of the form key=value")
        if key in parsed:
            raise ConfigError("CONFIG-MGR-002", f"{key!r} is overridden twice")
        parsed[key] = parse_yaml(value, f"override {key}", "CONFIG-MGR-004")
    return parsed


def _replace(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, leaf = key.split(".")
    node: Any = tree
    for depth, part in enumerate([*parents, leaf]):
        if not isinstance(node, dict) or part not in node:
            available = ", ".join(sorted(node)) if isinstance(node, dict) else "nothing below it"
            raise ConfigError(
                "CONFIG-010",
                f"there is no key {key!r}",
                where=".".join(key.split(".")[:depth]) or "the mode",
                available=available,
            )
        if depth < len(parents):
            node = node[part]
    node[leaf] = value


def apply_overrides(mode: ModeConfig, overrides: Mapping[str, Any]) -> ModeConfig:
    """Return a copy of the mode with the overrides, validated like its file."""
    tree = mode.model_dump(mode="json")
    for key, value in overrides.items():
        if key == "mode":
            what = "'mode' names the mode and cannot be overridden"
            raise ConfigError("CONFIG-MGR-003", what)
        _replace(tree, key, deepcopy(value))  # a later key may reach into an earlier mapping
    names = ", ".join(overrides) or "none"
    return validate(ModeConfig, tree, f"mode {mode.mode} with overrides of {names}")
