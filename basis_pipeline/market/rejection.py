"""A refusal of market data that can show the rows it is about."""

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
