"""Rejected market data: an error that can show the rows at fault."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from basis_pipeline.errors import DataError


class RejectedDataError(DataError):
    """A `DataError` with the offending rows, for a person to look at.

    Parameters
    ----------
    offending: the rows at fault, as they were read; empty when the failure is not about rows.
    """

    def __init__(
        self,
        code: str,
        what: str,
        *,
        where: str = "",
        available: str = "",
        action: str = "",
        component: str = "",
        context: Mapping[str, Any] | None = None,
        offending: pd.DataFrame | None = None,
    ) -> None:
        super().__init__(
            code,
            what,
            where=where,
            available=available,
            action=action,
            component=component,
            context=context,
        )
        self.offending = pd.DataFrame() if offending is None else offending


def unexpected(code: str, what: str, error: Exception, where: str) -> RejectedDataError:
    """Turn an exception that nobody foresaw into a rejection of the one feed it came from."""
    reason = " ".join(str(error).split())[:200]
    return RejectedDataError(code, f"{what}: {type(error).__name__}: {reason}", where=where)
