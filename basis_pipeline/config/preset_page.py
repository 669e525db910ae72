"""`docs/presets.md`, generated: `python -m basis_pipeline.config.preset_page > docs/presets.md`."""

import re
from collections.abc import Iterable
from inspect import cleandoc

from basis_pipeline.config.file_format import FileFormat
from basis_pipeline.config.loading import load_directory
from basis_pipeline.config.preset import Preset
from basis_pipeline.settings import project_root

HEAD = """# Presets and formats

Generated from `configs/presets/` and the models. A dataset file names a preset with `preset:`; keys
of the file take precedence, in `format` key by key. [Use your own data](own-data.md) shows how.

| preset | files | datasets | what to know | described at |
|---|---|---|---|---|
"""
FORMAT = """
## The key `format`

The format of a feed's files, in a preset or in a dataset file. Zip archives of one file and gzip
are recognised. The defaults are those of CSV with a header.

| key | default | meaning |
|---|---|---|
"""
_ENTRY = re.compile(r"^([a-z_, ]+): (.+(?:\n .+)*)", re.MULTILINE)


def presets_page(presets: Iterable[Preset]) -> str:
    """Return the page: one row per preset, and one per key of `format`."""
    rows = [
        f"| `{one.preset}` | {one.title} | {', '.join(one.kinds)} | {one.note} | `{one.page}` |\n"
        for one in presets
    ]
    return HEAD + "".join(rows) + FORMAT + "".join(_format_rows())


def _format_rows() -> Iterable[str]:
    """Yield a row for each entry of the model's documentation; some describe several keys."""
    _, _, parameters = cleandoc(FileFormat.__doc__ or "").partition("----------\n")
    plain = FileFormat()
    for names, meaning in _ENTRY.findall(parameters):
        keys = names.split(", ")
        defaults = [_shown(getattr(plain, key)) for key in keys]
        shown = " · ".join(f"`{key}`" for key in keys)
        yield f"| {shown} | {' · '.join(filter(None, defaults))} | {' '.join(meaning.split())} |\n"


def _shown(default: object) -> str:
    return "" if default in (None, (), {}, "") else f"`{default}`"


if __name__ == "__main__":
    found, _ = load_directory(project_root() / "configs" / "presets", Preset, "preset")
    print(presets_page(found.values()), end="")
