"""An account: a mode run to the present hour, as its file in `configs/accounts/` says it."""

from pathlib import Path
from typing import Any

from pydantic import Field

from basis_pipeline.config.base import Name, Positive, StrictModel
from basis_pipeline.config.loading import FILE_NAME, load_directory
from basis_pipeline.config.mode import Flow
from basis_pipeline.errors import ConfigError, error_from_code
from basis_pipeline.settings import Hour

DIRECTORY = "accounts"


class AccountConfig(StrictModel):
    """One account.

    Parameters
    ----------
    overrides: dotted key of the mode → value.
    capital: at `since`, before the costs of entering, in the share class's currency.
    since: the first hour.
    flows: deposits and withdrawals as they happen; those after the account's hour wait.
    """

    name: Name
    description: str
    mode: Name
    overrides: dict[str, Any] = Field(default_factory=dict)
    capital: Positive
    since: Hour
    flows: tuple[Flow, ...] = ()


def load_accounts(
    config_dir: Path,
) -> tuple[dict[str, AccountConfig], dict[str, ConfigError]]:
    """Load every account, and the errors of broken files by name; none without a directory."""
    if not (config_dir / DIRECTORY).is_dir():
        return {}, {}
    sound, broken = load_directory(config_dir / DIRECTORY, AccountConfig, "name")
    return sound, {Path(file).stem: error for file, error in broken.items()}


def account_names(config_dir: Path) -> list[str]:
    """Names of all accounts, sorted; those whose file is broken too, unless the name itself is."""
    sound, broken = load_accounts(config_dir)
    return sorted({*sound, *filter(FILE_NAME.fullmatch, broken)})


def load_account(config_dir: Path, name: str) -> AccountConfig:
    """Load one account.

    Raises
    ------
    ConfigError: that of its file when it is broken, CONFIG-007 when there is none of that name.
    """
    sound, broken = load_accounts(config_dir)
    if error := broken.get(name):
        raise error_from_code(error.code, error.what, where=error.where)
    if name not in sound:
        raise ConfigError(
            "CONFIG-007",
            f"there is no account {name!r}",
            where=f"configs/{DIRECTORY}/",
            available=", ".join(sound) or "none",
        )
    return sound[name]
