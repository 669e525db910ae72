"""A refusal of market data that can show the rows it is about."""

import pandas as pd

from basis_pipeline.errors import DataError


class RefusedDataError(DataError):
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
        offending: pd.DataFrame | None = None,
    ) -> None:
        super().__init__(code, what, where=where, available=available, action=action)
        self.offending = pd.DataFrame() if offending is None else offending

    def __reduce__(self) -> tuple[object, ...]:
        told = (self.code, self.what, self.where, self.available, self.action)
        return _revive, (*told, self.offending)


def _revive(
    code: str, what: str, where: str, available: str, action: str, offending: pd.DataFrame
) -> RefusedDataError:
    return RefusedDataError(
        code, what, where=where, available=available, action=action, offending=offending
    )
