"""Accounts: modes run to the present hour, their signals, and checks of their history.

files.py      the directory of an account: its legs, their latest run, its revisions
tick.py       one account at one hour: run, compare with the past, record, signal
gates.py      the gates of an account's run
signals.py    signals in the results database, and the alert when orders are due
reconcile.py  an account compared with the positions actually held
"""

from basis_pipeline.operations.accounts.files import AccountFiles, Leg, Revision
from basis_pipeline.operations.accounts.tick import AccountRun, run_account, run_accounts

__all__ = ["AccountFiles", "AccountRun", "Leg", "Revision", "run_account", "run_accounts"]
