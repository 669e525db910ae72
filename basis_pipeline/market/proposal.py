"""Proposal of a dataset file for recognised files: known keys, assumptions and missing flags.

Nothing is guessed silently: every assumption has a comment in the proposal, and what cannot be
known is requested by the name of a flag.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.loading import validate
from basis_pipeline.config.preset import Preset, complete
from basis_pipeline.config.universe import BARS, KEYS, Kind
from basis_pipeline.market.raw_file import MINUTE_NS
from basis_pipeline.market.recognition import Recognised, recognise
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.times import HOUR_NS
from basis_pipeline.verdict import count_of

_DATE = re.compile(r"\d{4}-\d\d(-\d\d)?([_-]\d{4}-\d\d(-\d\d)?)*")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A dataset file, ready to be written.

    document: its keys. comments: by key, what was assumed. missing: flags that must be given.
    summary: what was recognised, as lines.
    """

    document: dict[str, Any]
    preset: Preset | None
    comments: dict[str, str]
    missing: tuple[str, ...]
    summary: tuple[str, ...]

    @property
    def name(self) -> str:
        """The dataset's name."""
        return str(self.document["name"])

    def config(self) -> DatasetConfig:
        """Return the dataset as its file will be read. Raises ConfigError: CONFIG-005."""
        where = f"datasets/{self.name}.yaml"
        return validate(DatasetConfig, complete(self.document, self.preset), where)

    def to_yaml(self) -> str:
        """Return the text of the file, with a comment above each key with an assumption."""
        parts = []
        for key, value in self.document.items():
            if comment := self.comments.get(key):
                parts.append(f"# {comment}\n")
            parts.append(_line(key, value))
        return "".join(parts)


def _line(key: str, value: Any) -> str:
    """Return a key and its value as one line of YAML."""
    if isinstance(value, dict):
        flow = yaml.safe_dump(
            value, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=True
        )
        return f"{key}: {flow}"
    return str(yaml.safe_dump({key: value}, allow_unicode=True, width=10_000))


def propose(
    paths: Sequence[Path],
    data_dir: Path,
    presets: Iterable[Preset],
    quotes: Iterable[str],
    options: Mapping[str, str],
) -> Proposal:
    """Recognise the files of one feed and propose its dataset file.

    Parameters
    ----------
    options: values that the files do not state, by key: name, kind, decimals, keys of `of`.

    Raises
    ------
    RejectedDataError: as `recognise`; DATA-011 the files have different forms or symbols.
    """
    presets, quotes = tuple(presets), tuple(quotes)
    found = [recognise(path, presets, quotes, options.get("base")) for path in paths]
    first = found[0]
    _require_one_feed(paths, found)
    kind, of_path = options.get("kind") or _kind(first, paths[0]), {}
    if not options.get("kind") and len(first.kinds) > 1 and kind:
        of_path = {"of": "the kind is in the path"}
    of = {"kind": kind} | {
        key: value
        for key in (KEYS[Kind(kind)] if kind in set(Kind) else ("venue", "base", "quote"))
        if (value := options.get(key) or first.of.get(key))
    }
    missing = _missing(kind, of, first)
    scale, decimals = {}, options.get("decimals")
    if units := first.preset.smallest_units if first.preset else ():
        missing += () if decimals else ("--decimals",)
        scale = {"scale": dict.fromkeys(units, 10.0 ** -int(decimals or 0))}
    times = np.unique(np.concatenate([one.times for one in found]))
    step = int(np.median(np.diff(times))) if len(times) > 1 else HOUR_NS
    interval, assumed = _interval_keys(first, kind, step)
    document: dict[str, Any] = {
        "name": options.get("name") or _dataset_name(of),
        "of": of,
        "description": f"{(kind or 'feed').replace('_', ' ').capitalize()} of "
        f"{' '.join(v for k, v in of.items() if k != 'kind') or paths[0].name}",
        "owner": "you",
        "glob": _glob(paths, data_dir),
        **({"preset": first.preset.preset} if first.preset else {}),
        **first.keys,
        **interval,
        "repair": {"drop_exact_duplicates": True},
        "coverage": {"min_share": 0.95, "starts_late": False},
    }
    if form := {**first.keys.get("format", {}), **interval.get("format", {}), **scale}:
        document["format"] = form
    comments = {
        "name": f"Written by `basis data add` from {', '.join(path.name for path in paths[:4])}.",
        "glob": "Assumed: further files of this feed have similar names.",
        "repair": "Assumed: no gap may be filled. A gap stops the modes that need the feed.",
        "coverage": "Assumed: 95 % of a window must exist.",
        **{key: f"Assumed: {what}." for key, what in (first.assumed | assumed | of_path).items()},
    }
    summary = _summary(first, kind, of, times, step)
    return Proposal(document, first.preset, comments, missing, summary)


def _require_one_feed(paths: Sequence[Path], found: Sequence[Recognised]) -> None:
    for path, other in zip(paths[1:], found[1:], strict=True):
        ours, theirs = ((one.preset and one.preset.preset, one.of) for one in (found[0], other))
        if ours != theirs:
            raise RejectedDataError(
                "DATA-011",
                f"{path.name} is {_describe(other)}, and {paths[0].name} is {_describe(found[0])}: "
                "they are not one feed",
                where=path.name,
            )


def _describe(found: Recognised) -> str:
    form = found.preset.preset if found.preset else "a plain table"
    return f"{form} of {' '.join(found.of.values()) or 'no known symbol'}"


# Folders of archives, and the kind of bars in them.
_FOLDERS = {"spot": "spot_bars", "um": "perp_bars", "swap": "perp_bars", "futures": "perp_bars"}


def _kind(found: Recognised, path: Path) -> str:
    """Return the only possible kind, or the one that a folder of the path names; else empty."""
    if len(found.kinds) == 1:
        return found.kinds[0]
    named = {_FOLDERS[part] for part in path.parts if part in _FOLDERS} & set(found.kinds)
    return named.pop() if len(named) == 1 else ""


def _missing(kind: str, of: Mapping[str, str], found: Recognised) -> tuple[str, ...]:
    """Return flags that must be given, each with the available choices."""
    choice = f" (the file contains {', '.join(found.instruments[:8])})" if found.instruments else ""
    lacking = [key for key in KEYS[Kind(kind or found.kinds[0])] if key not in of]
    flags = [f"--{key}{choice if key in ('base', 'token') else ''}" for key in lacking]
    return (*([] if kind else [f"--kind {' or '.join(found.kinds)}"]), *flags)


def _interval_keys(
    found: Recognised, kind: str, step: int
) -> tuple[dict[str, Any], dict[str, str]]:
    """Keys for the interval of the rows, and the assumptions about it."""
    hours = max(round(step / HOUR_NS), 1)
    if kind in BARS or (not kind and set(found.kinds) <= set(BARS)):
        minutes = round(step / MINUTE_NS)
        if minutes < 60:
            return {"frequency_hours": 1, "format": {"interval_minutes": minutes}}, {
                "format": f"bars of {count_of(minutes, 'minute')} are aggregated to hours"
            }
        return {"frequency_hours": hours}, {}
    form = found.preset.format if found.preset else None
    known = form is not None and (form.resample is not None or form.observed is not None)
    known |= found.preset is not None and found.preset.frequency_hours == hours
    if known:
        return {}, {}
    return {"frequency_hours": hours}, {
        "frequency_hours": f"the usual interval of two rows, {count_of(hours, 'hour')}"
    }


def _dataset_name(of: Mapping[str, str]) -> str:
    """Return a name like those of the shipped datasets."""
    end = {"perp_bars": "perp", "spot_bars": "spot", "lending_rates": "rates"}
    kind = of["kind"]
    pair = of.get("base", "") + of.get("quote", "")
    parts = [of.get("venue", ""), pair, *(of.get(k, "") for k in ("token", "lst", "chain"))]
    name = "_".join([*filter(None, parts), end.get(kind, kind)])
    return re.sub(r"[^a-z0-9_]", "", name.lower()) or "feed"


def _glob(paths: Sequence[Path], data_dir: Path) -> str:
    """Return a glob for the paths: dates, and other parts in which they differ, become *."""
    names = sorted({_DATE.sub("*", p.relative_to(data_dir).as_posix()) for p in paths})
    if len(names) == 1:
        return names[0]
    # By characters, not by path components.
    head = commonprefix(names)  # noqa: RUF071
    tail = commonprefix([name[::-1] for name in names])[::-1]  # noqa: RUF071
    folder = head.rpartition("/")[0]
    return f"{head}*{tail}" if "/" not in tail else f"{folder}/**/*"


def _summary(
    found: Recognised, kind: str, of: Mapping[str, str], times: np.ndarray[Any, Any], step: int
) -> tuple[str, ...]:
    form = f"{found.preset.preset}: {found.preset.title}" if found.preset else "a plain table"
    first, last = (np.datetime64(int(t), "ns").astype("datetime64[m]") for t in times[[0, -1]])
    gaps = int((np.diff(times) > 1.5 * step).sum())
    minutes = step / MINUTE_NS
    length = f"{minutes / 60:g} h" if minutes >= 60 else f"{minutes:g} min"
    lines = [
        f"form      {form}",
        f"kind      {kind or ' or '.join(found.kinds)}",
        f"of        {', '.join(f'{k} {v}' for k, v in of.items() if k != 'kind') or 'not known'}",
        f"rows      {len(times)} times, {length} apart, {count_of(gaps, 'gap')}",
        f"span      {first} … {last} UTC",
        f"unit      {found.unit}" if found.unit else "unit      written as dates",
    ]
    if found.preset and found.preset.note:
        lines.append(f"note      {found.preset.note}")
    return tuple(lines)
