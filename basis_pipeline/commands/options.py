"""Options that commands share: declared once, passed to a command as one object."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from basis_pipeline.errors import CommandError, ConfigError

if TYPE_CHECKING:
    from basis_pipeline.config import Configs, ModeSlice
    from basis_pipeline.market.window import Window
    from basis_pipeline.settings import Settings

DataDir = Annotated[
    Path | None, typer.Option(help="Directory of the raw files; default: BASIS_DATA_DIR.")
]
ResultsDir = Annotated[
    Path | None, typer.Option(help="Directory for results; default: BASIS_RESULTS_DIR.")
]
Start = Annotated[
    str | None, typer.Option(help="First hour: a date, or an hour in UTC like 2024-06-01T08:00.")
]
End = Annotated[str | None, typer.Option(help="Last hour, included; a date means its 00:00.")]
Capital = Annotated[
    float | None, typer.Option(help="Capital before entry costs, in the share class's currency.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of the mode, its value in YAML; a mapping is replaced as a whole: "
        "--set 'hedge.venues={bybit: 1.0}'. May be given several times.",
    ),
]
Modes = Annotated[
    list[str] | None,
    typer.Option("--mode", help="A mode; may be given several times. Default: all modes."),
]
Form = Annotated[
    Literal["table", "json"], typer.Option("--format", help="A table to read, or JSON.")
]
RUN = {
    "data_dir": DataDir,
    "results_dir": ResultsDir,
    "start": Start,
    "end": End,
    "capital": Capital,
    "overrides": Overrides,
}


@dataclass(frozen=True, slots=True)
class Options:
    """The shared options as given; None stands for the value of the environment."""

    data_dir: Path | None = None
    results_dir: Path | None = None
    start: str | None = None
    end: str | None = None
    capital: float | None = None
    overrides: Sequence[str] | None = None

    def settings(self) -> "Settings":
        """Return the environment with the options on top. Raises ConfigError."""
        return settings_of(self.data_dir, self.results_dir, self.start, self.end)

    def assigned(self) -> dict[str, Any]:
        """Return what `--set` assigns, by dotted key. Raises ConfigError."""
        from basis_pipeline.config import parse_assignments

        return dict(parse_assignments(self.overrides or ()))


def shared(
    kinds: Mapping[str, Any], gather: Callable[..., Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds shared options to a command.

    Parameters
    ----------
    kinds: annotation of each option by name; an option that is not given is None.
    gather: makes the command's parameter `options` of them.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        own = [one for name, one in signature.parameters.items() if name != "options"]
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in kinds.items()
        ]

        @wraps(command)
        def wrapped(**values: Any) -> None:
            given = {name: values.pop(name) for name in kinds}
            command(options=gather(**given), **values)

        declared = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own] + added
        wrapped.__signature__ = signature.replace(parameters=declared)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {one.name: one.annotation for one in declared} | {"return": None}
        return wrapped

    return decorate


# Adds the options of a run to a command, as its parameter `options` of type `Options`.
takes_run_options = shared(RUN, Options)


def settings_of(
    data_dir: Path | None = None,
    results_dir: Path | None = None,
    start: str | None = None,
    end: str | None = None,
) -> "Settings":
    """Return the environment with the options on top. Raises ConfigError."""
    from basis_pipeline.settings import load_settings

    return load_settings(
        data_dir=data_dir, results_dir=results_dir, data_start_date=start, data_end_date=end
    )


def open_settings(command: str, results_dir: Path | None = None) -> "Settings":
    """Return the settings of a command that writes; blocked after a shutdown.

    Raises
    ------
    BacktestError: BT-005 after a shutdown. ConfigError: as `settings_of`. ResultsError: the state
        of emergency control cannot be read.
    """
    from basis_pipeline.operations.control import require_not_shut_down

    settings = settings_of(results_dir=results_dir)
    require_not_shut_down(settings, command)
    return settings


def project_configs() -> "Configs":
    """Return the project's `configs/`. Raises ConfigError."""
    from basis_pipeline.config import load_configs
    from basis_pipeline.settings import config_directory

    return load_configs(config_directory())


def window_of(settings: "Settings") -> "Window":
    """Return the window of the settings."""
    import pandas as pd

    from basis_pipeline.market.window import Window

    return Window(pd.Timestamp(settings.data_start_date), pd.Timestamp(settings.data_end_date))


def sliced(
    configs: "Configs",
    modes: Sequence[str] | None,
    overrides: Sequence[str] | None,
    capital: float | None,
) -> "list[ModeSlice]":
    """Slice the modes and validate the capital, before anything is read or written."""
    from basis_pipeline.config import parse_assignments, slice_mode

    assigned = parse_assignments(overrides or ())
    slices = [slice_mode(configs, name, assigned) for name in chosen(configs, modes)]
    from basis_pipeline.backtests.backtest import capital_of

    for mode_slice in slices:
        capital_of(mode_slice, capital)
    return slices


def chosen(configs: "Configs", modes: Sequence[str] | None) -> list[str]:
    """Return the modes named, each once, or else all modes, those with broken files too.

    Raises
    ------
    ConfigError: CONFIG-007 for an unknown mode.
    """
    for name in set(modes or ()) - set(configs.mode_names):
        configs.mode(name)
    return list(dict.fromkeys(modes or configs.mode_names))


def unsound_modes(configs: "Configs", modes: Sequence[str] | None) -> list[str]:
    """Return modes whose own files are broken: a fault of the project, not of the command."""
    from basis_pipeline.config import slice_mode

    found = []
    for name in chosen(configs, modes):
        try:
            slice_mode(configs, name)
        except ConfigError:
            found.append(name)
    return found


def require_data(settings: "Settings") -> None:
    """Raise API-001 unless the data directory exists."""
    if not settings.data_dir.is_dir():
        raise CommandError(
            "API-001",
            "there is no data directory",
            where=str(settings.data_dir),
            context={"required": "raw files", "expected": str(settings.data_dir)},
            action="name one with --data-dir, or make one: basis data sample --out DIR",
        )
