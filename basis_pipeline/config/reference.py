"""The reference of a dataset file, from its models.

`python -m basis_pipeline.config.reference > docs/dataset-file.md` writes the page.
"""

import inspect
import json
import re
from collections.abc import Iterator
from typing import Annotated, Literal, get_args, get_origin

from pydantic import BaseModel

from basis_pipeline.config.dataset import (
    OPTIONAL,
    REQUIRED,
    Agreement,
    Column,
    Coverage,
    DatasetConfig,
    OutlierBounds,
    RepairPolicy,
    TimestampRule,
)
from basis_pipeline.config.file_format import FileFormat
from basis_pipeline.config.universe import KEYS, Of

SECTIONS: dict[str, type[BaseModel]] = {
    "The file": DatasetConfig,
    "`of`": Of,
    "`timestamp`": TimestampRule,
    "`columns`, each of them": Column,
    "`repair`": RepairPolicy,
    "`coverage`": Coverage,
    "`outliers`, each of them": OutlierBounds,
    "`agreement`": Agreement,
    "`format`": FileFormat,
}
HEAD = """# The dataset file, key by key

One file of `configs/datasets/` describes a feed of raw files and the dataset that is made of it.
This page is generated from the models.

| kind | keys of `of` besides `kind` | required columns | optional columns |
|---|---|---|---|"""


def markdown() -> str:
    """Return the page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield HEAD
    for kind, keys in KEYS.items():
        cells = (keys, REQUIRED.get(kind, ()), OPTIONAL.get(kind, ()))
        listed = (", ".join(f"`{name}`" for name in cell) or "none" for cell in cells)
        yield f"| `{kind}` | {' | '.join(listed)} |"
    for title, model in SECTIONS.items():
        yield f"\n## {title}\n"
        yield _documentation(model)
        yield "\n| key | value | default |\n|---|---|---|"
        for name, field in model.model_fields.items():
            default = field.get_default(call_default_factory=True)
            text = "required" if field.is_required() else _default(default)
            yield f"| `{name}` | {_type(field.annotation)} | {text} |"


def _documentation(model: type[BaseModel]) -> str:
    """Return the model's docstring as Markdown: sentences, and a line for each group of keys."""
    text = inspect.cleandoc(model.__doc__ or "")
    text = text.replace("Parameters\n----------\n", "")
    return re.sub(r"\n([a-z_]+(?:, [a-z_]+)*): ", r"\n- `\1`: ", text).replace("\n    ", "\n  ")


def _default(value: object) -> str:
    if isinstance(value, BaseModel):
        return "its own"
    return "null" if value is None else f"`{json.dumps(value)}`"


def _type(annotation: object) -> str:
    """Describe a type in words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inner[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin is tuple:
        return "a list of " + " and ".join(_type(part) for part in inner if part is not ...)
    if origin is dict:
        return f"a mapping of {_type(inner[0])} to {_type(inner[1])}"
    if inner:
        return " or ".join(_type(part) for part in inner)
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    if annotation in (None, type(None)):
        return "null"
    name = getattr(annotation, "__name__", str(annotation))
    return next((words for kind, words in names.items() if annotation is kind), f"`{name}`")


if __name__ == "__main__":
    print(markdown(), end="")
