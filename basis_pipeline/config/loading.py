"""Reading YAML into models. Every file is validated alone, and every problem names its file."""

import json
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.mode import ModeConfig
from basis_pipeline.config.preset import Preset, complete
from basis_pipeline.config.universe import Kind, Of, Wanted, find, matching
from basis_pipeline.config.venue import ShareClass, Venue
from basis_pipeline.errors import ConfigError, error_from_code

T = TypeVar("T")

MAX_BYTES = 262_144
MAX_DEPTH = 32
SHOWN_PROBLEMS = 8
SHOWN_CHARACTERS = 60
SCALARS = (str, int, float)
FILE_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")


@dataclass(frozen=True, slots=True)
class Configs:
    """Everything below a configuration directory, by name.

    Parameters
    ----------
    modes: the files, unsliced.
    broken: file below the directory, as `modes/x.yaml` → why it cannot be used. What needs such a
        file raises that error; for everything else the file does not exist.
    broken_of: broken dataset file → its key `of`, where that can be read.
    """

    modes: Mapping[str, ModeConfig]
    venues: Mapping[str, Venue]
    share_classes: Mapping[str, ShareClass]
    datasets: Mapping[str, DatasetConfig]
    broken: Mapping[str, ConfigError] = field(default_factory=dict)
    broken_of: Mapping[str, Of] = field(default_factory=dict)

    @property
    def mode_names(self) -> list[str]:
        """Names of all modes, sorted; broken files too, when their name is valid."""
        files = (Path(file) for file in self.broken if file.startswith("modes/"))
        return sorted({*self.modes, *(f.stem for f in files if FILE_NAME.fullmatch(f.stem))})

    def mode(self, name: str) -> ModeConfig:
        """Return the mode of that name.

        Raises
        ------
        ConfigError: the error of its file when that is broken, CONFIG-007 when there is none.
        """
        if name not in self.modes:
            self.raise_if_broken("modes", name)
            raise ConfigError(
                "CONFIG-007",
                f"there is no mode {name!r}",
                where="configs/modes/",
                available=", ".join(self.modes),
                context={"required": f"mode {name}", "expected": f"configs/modes/{name}.yaml"},
            )
        return self.modes[name]

    def find(self, kind: Kind, **keys: Wanted) -> DatasetConfig:
        """Return the dataset that matches; several values for a key are in order of preference.

        Raises
        ------
        ConfigError: CONFIG-009 when there is none, CONFIG-014 when there are several. The error of
            a broken file that describes the dataset, or may do so.
        """
        try:
            return self.datasets[find(self.of, kind, keys)]
        except ConfigError as error:
            if error.code == "CONFIG-009":
                self._raise_if_broken_file_fits(kind, keys)
            raise

    def matching(self, kind: Kind, **keys: Wanted) -> list[str]:
        """List the names of all datasets that match, sorted."""
        return matching(self.of, kind, keys)

    @property
    def of(self) -> dict[str, Of]:
        """What each dataset describes."""
        return {name: config.of for name, config in self.datasets.items()}

    def _raise_if_broken_file_fits(self, kind: Kind, keys: Mapping[str, Wanted]) -> None:
        files = [file for file in self.broken if file.startswith("datasets/")]
        known = [f for f in files if f in self.broken_of and self.broken_of[f].fits(kind, keys)]
        unknown = [file for file in files if file not in self.broken_of]
        for file in (*known, *unknown):
            self.raise_if_broken("datasets", Path(file).stem)

    def raise_if_broken(self, directory: str, name: str) -> None:
        """Raise the error of a file that cannot be used."""
        if error := self.broken.get(f"{directory}/{name}.yaml"):
            raise error_from_code(
                error.code,
                error.what,
                where=error.where,
                available=error.available,
                action=error.action,
            )


class _Loader(yaml.CSafeLoader):
    """YAML 1.2: 010 is ten, 1e-3 a number, `on` a text, a date a text; no key is given twice."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as the class it overrides

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                problem = f"the key {key!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
            seen |= {key} if isinstance(key, Hashable) else set()
        return super().construct_mapping(node, deep)

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        text = str(self.construct_scalar(node))
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_integer)
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
):
    _firsts = ["" if first == "\0" else first for first in _first]
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _firsts
    )


def parse_yaml(text: str, where: str, code: str = "CONFIG-004") -> Any:
    """Parse one YAML 1.2 document without anchors, of bounded size and depth.

    Parameters
    ----------
    where, code: of an error.

    Raises
    ------
    ConfigError: with that code, when it is malformed, larger than `MAX_BYTES`, nested deeper than
        `MAX_DEPTH`, or names an anchor.
    """
    try:
        if len(text) > MAX_BYTES:
            raise ValueError(f"the text is longer than {MAX_BYTES:,} characters")
        depth = 0
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise ValueError("anchors and aliases (& and *) are not accepted; repeat the value")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
        # A safe loader, which the scanner does not recognise.
        return yaml.load(text, Loader=_Loader)  # nosec B506
    except (yaml.YAMLError, ValueError) as error:
        what = " ".join(str(error).split())
        if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark):
            what = f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
        raise ConfigError(code, what, where=where) from None


def validate(model: type[T] | TypeAdapter[T], value: Any, where: str) -> T:
    """Validate plain data strictly; CONFIG-005 for an unknown key or a value of another type."""
    adapter = model if isinstance(model, TypeAdapter) else TypeAdapter(model)
    try:
        return adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        problems = [_problem(item) for item in error.errors(include_url=False)]
        more = len(problems) - SHOWN_PROBLEMS
        shown = [*problems[:SHOWN_PROBLEMS], *([f"and {more} more"] if more > 0 else [])]
        raise ConfigError("CONFIG-005", "; ".join(shown), where=where) from None
    except (TypeError, ValueError) as error:
        raise ConfigError("CONFIG-005", str(error), where=where) from None


def _problem(item: ErrorDetails) -> str:
    """Return the key, what is wrong with it, and its value where that is short."""
    key, given = ".".join(str(part) for part in item["loc"]) or "file", repr(item["input"])
    is_short = isinstance(item["input"], SCALARS) and len(given) <= SHOWN_CHARACTERS
    is_shown = is_short and " should " in item["msg"]
    return f"{key}: {item['msg']}" + (f"; it is {given}" if is_shown else "")


def load_file(path: Path, model: type[T] | TypeAdapter[T], key: str = "", where: str = "") -> T:
    """Read one YAML file into a model.

    Parameters
    ----------
    key: the field that must equal the file's stem, which is then a name.
    where: the place in an error; directory and file when not given.

    Raises
    ------
    ConfigError: CONFIG-003 no such file, CONFIG-013 it cannot be read, CONFIG-004 it is not YAML,
        CONFIG-005 its name is not valid, or its content does not fit the model.
    """
    where = where or f"{path.parent.name}/{path.name}"
    if key and not FILE_NAME.fullmatch(path.stem):
        what = f"the file name {path.stem[:80]!r} is not made of letters, digits and _, at most 64"
        raise ConfigError("CONFIG-005", what, where=where, action="rename the file")
    document, preset = _read_yaml(path, where), None
    if model is DatasetConfig and isinstance(document, dict):
        preset = _preset_of(document, path, where)
        document = complete(document, preset)
    value = validate(model, document, where)
    if isinstance(value, DatasetConfig) and preset:
        wanted = [raw for raw in preset.smallest_units if raw in value.columns]
        lacking = [raw for raw in wanted if raw not in value.format.scale]
        if lacking:
            what = f"format.scale lacks {', '.join(lacking)}, in the token's smallest unit"
            action = "give 1.0e-6 for a token of 6 decimals, 1.0e-18 for one of 18"
            raise ConfigError("CONFIG-005", what, where=where, action=action)
    if key and getattr(value, key) != path.stem:
        what = f"{key} is {getattr(value, key)!r}, but the file is named {path.stem!r}"
        raise ConfigError("CONFIG-005", what, where=where)
    return value


def _read_yaml(path: Path, where: str) -> Any:
    try:
        if path.exists() and not path.is_file():
            raise ConfigError("CONFIG-013", "this is not a file", where=where)
        with path.open("rb") as file:
            text = file.read(4 * MAX_BYTES + 1).decode()
    except UnicodeDecodeError as error:
        raise ConfigError("CONFIG-004", f"the file is not UTF-8: {error}", where=where) from None
    except OSError as error:
        is_absent = isinstance(error, FileNotFoundError) and not path.is_symlink()
        what = f"the file cannot be read: {error.strerror}"
        raise ConfigError("CONFIG-003" if is_absent else "CONFIG-013", what, where=where) from error
    return parse_yaml(text, where)


def _preset_of(document: dict[str, Any], path: Path, where: str) -> Preset | None:
    """Return the preset that a dataset's file names; CONFIG-005 when it does not exist."""
    name = document.get("preset")
    if name is None:
        return None
    directory = path.parents[1] / "presets"
    file = directory / f"{name}.yaml"
    if not isinstance(name, str) or not file.is_file():
        raise ConfigError(
            "CONFIG-005",
            f"preset: there is no preset {name!r}",
            where=where,
            available=", ".join(sorted(other.stem for other in directory.glob("[!.]*.yaml"))),
        )
    return load_file(file, Preset, "preset")


def load_directory(
    directory: Path, model: type[T] | TypeAdapter[T], key: str
) -> tuple[dict[str, T], dict[str, ConfigError]]:
    """Read every `*.yaml` of a directory: models by name, sorted, and errors by file.

    Raises
    ------
    ConfigError: CONFIG-003 when there is no such directory, or no such file in it.
    """
    if not directory.is_dir():
        what = f"there is no directory {directory.name}"
        raise ConfigError("CONFIG-003", what, where=str(directory))
    sound: dict[str, T] = {}
    broken: dict[str, ConfigError] = {}
    for path in sorted(directory.glob("[!.]*.yaml")):
        try:
            sound[path.stem] = load_file(path, model, key)
        except ConfigError as error:
            broken[f"{directory.name}/{path.name}"] = error
    if not sound and not broken:
        raise ConfigError("CONFIG-003", "the directory holds no *.yaml", where=str(directory))
    return sound, broken


def load_configs(config_dir: Path) -> Configs:
    """Load modes, venues, share classes and datasets; a broken file affects only what needs it.

    Raises
    ------
    ConfigError: CONFIG-003 when one of the four directories is missing or empty.
    """
    venue: TypeAdapter[Venue] = TypeAdapter(Venue)
    modes, broken_modes = load_directory(config_dir / "modes", ModeConfig, "mode")
    venues, broken_venues = load_directory(config_dir / "venues", venue, "venue")
    classes, broken_classes = load_directory(
        config_dir / "share_classes", ShareClass, "share_class"
    )
    datasets, broken_datasets = load_directory(config_dir / "datasets", DatasetConfig, "name")
    # A dataset is unusable when its repairs may read one that has no usable file.
    while lacking := {
        name: [source for source in config.sources if source not in datasets]
        for name, config in datasets.items()
        if not datasets.keys() >= set(config.sources)
    }:
        for name, sources in lacking.items():
            file = f"datasets/{name}.yaml"
            errors = (broken_datasets.get(f"datasets/{source}.yaml") for source in sources)
            reasons = (
                "; ".join(f"{error.where}: {error.what}" for error in errors if error)
                or "no such file"
            )
            what = f"its repairs read {', '.join(sources)}, which cannot be used: {reasons}"
            broken_datasets[file] = ConfigError("CONFIG-009", what, where=file)
            del datasets[name]
    broken = {**broken_modes, **broken_venues, **broken_classes, **broken_datasets}
    of = {file: _of(config_dir / file) for file in broken_datasets}
    broken_of = {file: known for file, known in of.items() if known is not None}
    return Configs(modes, venues, classes, datasets, broken, broken_of)


def _of(path: Path) -> Of | None:
    """Return the key `of` of a broken dataset file; None when even that cannot be read."""
    try:
        return validate(Of, _read_yaml(path, path.name)["of"], path.name)
    except (ConfigError, TypeError, KeyError):
        return None


def canonical_json(model: BaseModel) -> str:
    """Serialise a model with sorted keys and no spaces: equal models give equal text."""
    return json.dumps(model.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
