"""The error of rejected market data, with the rows at fault."""

from typing import Any

import pandas as pd

from basis_pipeline.errors import DataError


class RejectedDataError(DataError):
    """A `DataError` with the rows at fault.

    Parameters
    ----------
    offending: the rows at fault as read; empty when the error is not about rows.
    details: keyword arguments of `DataError`.
    """

    def __init__(
        self, code: str, what: str, *, offending: pd.DataFrame | None = None, **details: Any
    ) -> None:
        super().__init__(code, what, **details)
        self.offending = pd.DataFrame() if offending is None else offending


def unexpected(code: str, what: str, error: Exception, where: str) -> RejectedDataError:
    """Return the rejection of a feed for an unforeseen exception."""
    reason = " ".join(str(error).split())[:200]
    return RejectedDataError(code, f"{what}: {type(error).__name__}: {reason}", where=where)
