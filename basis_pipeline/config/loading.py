"""Reading `configs/` into models: every file is checked, every problem names its file."""

import json
import re
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.mode import ModeConfig
from basis_pipeline.config.venue import ShareClass, Venue
from basis_pipeline.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Configs:
    """Everything below a configuration directory, by name. `modes` holds the files unsliced."""

    modes: dict[str, ModeConfig]
    venues: dict[str, Venue]
    share_classes: dict[str, ShareClass]
    datasets: dict[str, DatasetConfig]

    def mode(self, name: str) -> ModeConfig:
        """Return the mode of that name; CONFIG-007 when there is none. There is no fallback."""
        if name not in self.modes:
            raise ConfigError(
                "CONFIG-007",
                f"there is no mode {name!r}",
                where="configs/modes/",
                available=", ".join(self.modes),
                context={"required": f"mode {name}", "expected": f"configs/modes/{name}.yaml"},
            )
        return self.modes[name]


class _UniqueKeyLoader(yaml.CSafeLoader):
    """YAML that refuses a key given twice, and reads 1e-3 as a number.

    The plain loader silently keeps the last of two keys, and takes an exponent without a point for
    text, as YAML 1.1 has it.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice[0]!r} is given twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


_UniqueKeyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def parse_yaml(text: str, where: str, code: str = "CONFIG-004") -> Any:
    """Parse one YAML document; an error of that code with the place when it is malformed."""
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)
    except (yaml.YAMLError, ValueError) as error:  # a ValueError: a date such as 2024-02-30
        raise ConfigError(code, " ".join(str(error).split()), where=where) from None


def _json_value(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a configuration")


def validate(model: type[T] | TypeAdapter[T], value: Any, where: str) -> T:
    """Validate plain data strictly: no unknown key, no text for a number; CONFIG-005 otherwise."""
    adapter = model if isinstance(model, TypeAdapter) else TypeAdapter(model)
    try:
        return adapter.validate_json(json.dumps(value, default=_json_value), strict=True)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'file'}: {item['msg']}"
            for item in error.errors(include_url=False)
        )
        raise ConfigError("CONFIG-005", problems, where=where) from None
    except (TypeError, ValueError) as error:
        raise ConfigError("CONFIG-005", str(error), where=where) from None


def _text(path: Path, where: str) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError("CONFIG-004", f"the file is not UTF-8: {error}", where=where) from None
    except OSError as error:
        what = f"the file cannot be read: {error.strerror}"
        raise ConfigError("CONFIG-013", what, where=str(path)) from error


def load_directory(directory: Path, model: type[T] | TypeAdapter[T], key: str) -> dict[str, T]:
    """Load every `*.yaml` below `directory`, sorted by name; `key` must equal the file's stem."""
    if not directory.is_dir():
        raise ConfigError(
            "CONFIG-003", f"there is no directory {directory.name}", where=str(directory)
        )
    loaded: dict[str, T] = {}
    for path in sorted(directory.glob("*.yaml")):
        where = f"{directory.name}/{path.name}"
        value = validate(model, parse_yaml(_text(path, where), where), where)
        name = getattr(value, key)
        if name != path.stem:
            raise ConfigError(
                "CONFIG-005", f"{key} says {name!r}, its file {path.stem!r}", where=where
            )
        loaded[name] = value
    if not loaded:
        raise ConfigError("CONFIG-003", "the directory holds no *.yaml", where=str(directory))
    return loaded


def load_configs(config_dir: Path) -> Configs:
    """Load modes, venues, share classes and the dataset catalogue of one directory."""
    venue_adapter: TypeAdapter[Venue] = TypeAdapter(Venue)
    return Configs(
        modes=load_directory(config_dir / "modes", ModeConfig, "mode"),
        venues=load_directory(config_dir / "venues", venue_adapter, "venue"),
        share_classes=load_directory(config_dir / "share_classes", ShareClass, "share_class"),
        datasets=load_directory(config_dir / "datasets", DatasetConfig, "name"),
    )


def canonical_json(model: BaseModel) -> str:
    """Serialise a model with sorted keys and no spaces: equal models give equal text."""
    return json.dumps(model.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
