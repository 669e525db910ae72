"""`basis data add` and `basis data try`: recognise a publisher's files, write a dataset file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_pipeline.commands import screen
from basis_pipeline.commands.options import (
    DataDir,
    open_settings,
    project_configs,
    settings_of,
    shared,
)
from basis_pipeline.errors import CommandError

if TYPE_CHECKING:
    from basis_pipeline.config import Configs
    from basis_pipeline.market.proposal import Proposal

SHOWN_ROWS = 10
Files = Annotated[
    list[Path], typer.Argument(help="Files of one feed, as their publisher made them.")
]
Kind = Annotated[str | None, typer.Option(help="perp_bars, spot_bars, funding and so on.")]
Venue = Annotated[str | None, typer.Option(help="Exchange, pool or protocol.")]
Base = Annotated[str | None, typer.Option(help="What is traded.")]
Quote = Annotated[str | None, typer.Option(help="What it is priced in.")]
Token = Annotated[str | None, typer.Option(help="Reserve, reward or coin, if the kind has one.")]
Lst = Annotated[str | None, typer.Option(help="Liquid staking token, if the kind has one.")]
Chain = Annotated[str | None, typer.Option(help="Chain of gas prices.")]
Decimals = Annotated[
    int | None,
    typer.Option(min=0, max=36, help="Decimals of the token, if totals are in its smallest unit."),
]
Preset = Annotated[str | None, typer.Option(help="Read the files by this preset only.")]
DATASET_OPTIONS = {
    "kind": Kind,
    "venue": Venue,
    "base": Base,
    "quote": Quote,
    "token": Token,
    "lst": Lst,
    "chain": Chain,
    "decimals": Decimals,
}
# Adds options for what the files do not state; the parameter `options` is key → text.
takes_dataset_options = shared(
    DATASET_OPTIONS, lambda **of: {k: None if v is None else str(v) for k, v in of.items()}
)


@takes_dataset_options
def add(
    options: dict[str, str | None],
    files: Files,
    name: Annotated[str | None, typer.Option(help="Name of the dataset.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The dataset file; default: in datasets/ of the configuration."),
    ] = None,
    data_dir: DataDir = None,
    preset: Preset = None,
) -> None:
    """Recognise files, show what they hold, and write their dataset file.

    Format, kind, symbol, unit, interval, span and gaps are found in the files; options give what
    the files do not state. Every assumption has a comment in the dataset file.
    """
    open_settings("basis data add")
    settings, configs = settings_of(data_dir), project_configs()
    given = {"name": name, **options}
    proposal = _proposed(files, settings.data_dir, configs, given, preset)
    _require_complete(proposal)
    _require_new(proposal, configs, out)
    sound = _show(proposal, settings.data_dir)
    if not sound:
        raise typer.Exit(1)
    from basis_pipeline.settings import config_directory

    target = out or config_directory() / "datasets" / f"{proposal.name}.yaml"
    screen.write(target, proposal.to_yaml().encode())
    screen.echo(f"Written: {target}")


@takes_dataset_options
def try_files(options: dict[str, str | None], files: Files, preset: Preset = None) -> None:
    """Show what files hold and the dataset file they would get, and write nothing.

    The files may be in any directory.
    """
    folder = files[0].absolute().parent
    proposal = _proposed(files, folder, project_configs(), options, preset)
    if proposal.missing:
        for line in proposal.summary:
            screen.echo(line)
        screen.echo(f"To add it, also give: {', '.join(proposal.missing)}")
        return
    sound = _show(proposal, folder)
    screen.deliver(proposal.to_yaml(), None)
    if not sound:
        raise typer.Exit(1)


def _proposed(
    files: list[Path],
    data_dir: Path,
    configs: "Configs",
    given: dict[str, str | None],
    preset: str | None,
) -> "Proposal":
    from basis_pipeline.config.loading import load_directory
    from basis_pipeline.config.preset import Preset as PresetModel
    from basis_pipeline.market.proposal import propose
    from basis_pipeline.settings import config_directory

    paths = [_inside(file, data_dir) for file in files]
    presets, _ = load_directory(config_directory() / "presets", PresetModel, "preset")
    if preset is not None and preset not in presets:
        what = f"there is no preset {preset!r}"
        raise CommandError("API-001", what, where="--preset", available=", ".join(presets))
    chosen = [presets[preset]] if preset else list(presets.values())
    quotes = {str(one.of.quote) for one in configs.datasets.values() if one.of.quote}
    quotes |= set(configs.share_classes) | ({given["quote"]} if given["quote"] else set())
    with screen.progress(1) as advance:
        advance("recognising the files")
        return propose(
            paths, data_dir, chosen, sorted(quotes), {k: v for k, v in given.items() if v}
        )


def _inside(file: Path, data_dir: Path) -> Path:
    path = file.absolute()
    if not path.is_file():
        raise CommandError("API-001", "there is no such file", where=str(file))
    if not path.is_relative_to(data_dir.absolute()):
        raise CommandError(
            "API-001",
            f"the file is not in the data directory {data_dir}",
            where=str(file),
            action="move it there, or name a directory that contains it with --data-dir",
        )
    return data_dir / path.relative_to(data_dir.absolute())


def _require_complete(proposal: "Proposal") -> None:
    if proposal.missing:
        raise CommandError(
            "API-001",
            f"the files do not state everything: also give {', '.join(proposal.missing)}",
            where=str(proposal.document["glob"]),
            available="; ".join(" ".join(line.split()) for line in proposal.summary),
            action="add the options named",
        )


def _require_new(proposal: "Proposal", configs: "Configs", out: Path | None) -> None:
    """Reject a second dataset of the same instrument, and a name that is taken."""
    alike = [name for name, one in configs.datasets.items() if one.of == proposal.config().of]
    taken = [*alike, *([proposal.name] if proposal.name in configs.datasets else [])]
    if taken and out is None:
        raise CommandError(
            "API-001",
            f"there is already a dataset of this: {taken[0]}",
            where=f"datasets/{taken[0]}.yaml",
            action="remove that file, or write the new one elsewhere with --out",
        )


def _show(proposal: "Proposal", data_dir: Path) -> bool:
    """Print what was recognised, ten rows and the checks; return whether no check fails."""
    from basis_pipeline.market.audit import audit_feed, own_window
    from basis_pipeline.market.dataset import try_build
    from basis_pipeline.market.raw import read_feed

    for line in proposal.summary:
        screen.echo(line)
    config = proposal.config()
    raw = read_feed(data_dir, config)
    rows = raw.distinct.frame.head(SHOWN_ROWS)
    texts = [
        [f"{row[0]:%Y-%m-%d %H:%M}", *(f"{x:.10g}" for x in row[1:])] for row in rows.to_numpy()
    ]
    console = screen.console()
    console.print(screen.table("", [*map(str, rows)], texts))
    window = own_window(raw)
    outcome = try_build(config, {config.name: raw}, window)
    found = audit_feed(config, outcome, {config.name: raw}, window)
    checks = [[str(v.status.value), v.check, v.message] for v in found.verdicts]
    console.print(screen.table("", ["verdict", "check", "message"], checks))
    for remark in found.findings.remarks:
        screen.echo(f"note      {remark}")
    return found.error is None
