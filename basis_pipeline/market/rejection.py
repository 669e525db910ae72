"""Rejected market data: an error that can show the rows at fault."""

from typing import Any

import pandas as pd

from basis_pipeline.errors import DataError


class RejectedDataError(DataError):
    """A `DataError` with the offending rows, for a person to look at.

    Parameters
    ----------
    offending: the rows at fault, as they were read; empty when the failure is not about rows.
    details: as those of every coded error.
    """

    def __init__(
        self, code: str, what: str, *, offending: pd.DataFrame | None = None, **details: Any
    ) -> None:
        super().__init__(code, what, **details)
        self.offending = pd.DataFrame() if offending is None else offending


def unexpected(code: str, what: str, error: Exception, where: str) -> RejectedDataError:
    """Turn an exception that nobody foresaw into a rejection of the one feed it came from."""
    reason = " ".join(str(error).split())[:200]
    return RejectedDataError(code, f"{what}: {type(error).__name__}: {reason}", where=where)
