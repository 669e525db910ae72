"""Removal of old signals of accounts."""

from datetime import datetime

from sqlalchemy import Engine, delete, select

from basis_pipeline.results.database.connection import reading, writing
from basis_pipeline.results.database.tables import ACCOUNT_SIGNALS as SIGNALS


def prune_signals(engine: Engine, *, keep: int) -> dict[str, tuple[int, datetime]]:
    """Remove all signals but the newest `keep` of each account.

    Returns
    -------
    Account → how many were removed, and the oldest remaining hour; only accounts with removals.
    """
    with reading(engine) as connection:
        accounts = list(connection.scalars(select(SIGNALS.c.account).distinct()))
    removed = {}
    for account in sorted(accounts):
        mine = SIGNALS.c.account == account
        hours = select(SIGNALS.c.hour).where(mine).order_by(SIGNALS.c.hour.desc())
        with writing(engine, exclusive="signals") as connection:
            oldest = connection.scalar(hours.offset(keep - 1).limit(1))
            if oldest is None:
                continue
            older = connection.execute(delete(SIGNALS).where(mine, SIGNALS.c.hour < oldest))
            if older.rowcount:
                removed[account] = older.rowcount, oldest
    return removed
