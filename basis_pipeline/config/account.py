"""An account: a mode run to the present hour, defined by a file in `configs/accounts/`."""

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
    capital: at `since`, before entry costs, in the share class's currency.
    since: the first hour.
    flows: deposits and withdrawals; those after the account's last hour are not used yet.
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
    """Load every account, and the errors of broken files by name; empty without a directory."""
    if not (config_dir / DIRECTORY).is_dir():
        return {}, {}
    sound, broken = load_directory(config_dir / DIRECTORY, AccountConfig, "name")
    return sound, {Path(file).stem: error for file, error in broken.items()}


def account_names(config_dir: Path) -> list[str]:
    """List the names of all accounts, sorted; broken files too, when their name is valid."""
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
