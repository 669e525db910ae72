"""The times of a dataset's rows, and which row gives the value at a time (SEMANTICS 1, 3)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from basis_pipeline.errors import DataError
from basis_pipeline.market.timestamps import Int64, format_time

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Strictly increasing timestamps of a dataset's rows.

    name: the dataset, for messages · timestamps: (rows,) int64 ns · step: ns between two rows.
    """

    name: str
    timestamps: Int64
    step: int

    def held(self, at: Int64) -> Int64:
        """Row whose value holds at each time: the last one not later, less than a step old.

        Raises DataError DATA-012 where there is none.
        """
        row = np.searchsorted(self.timestamps, at, side="right") - 1
        age = at - self._stamp(row)
        self._require((row >= 0) & (age < self.step), at)
        return row.astype(np.int64)

    def bracket(self, at: Int64) -> tuple[Int64, Int64, Floats]:
        """Rows around each time and the elapsed share of the way from one to the other, in [0, 1).

        On a row's own timestamp both are that row. Raises DataError DATA-012 outside the rows.
        """
        before = np.searchsorted(self.timestamps, at, side="right") - 1
        elapsed = at - self._stamp(before)
        after = np.where(elapsed > 0, before + 1, before)
        self._require((before >= 0) & (after < len(self.timestamps)), at)
        length = self.timestamps[after] - self.timestamps[before]
        return before, after, elapsed / np.maximum(length, 1)

    def exact(self, at: Int64) -> tuple[Int64, npt.NDArray[np.bool_]]:
        """Row dated exactly at each time, and whether there is one."""
        row = np.searchsorted(self.timestamps, at, side="right") - 1
        return row.astype(np.int64), (row >= 0) & (at == self._stamp(row))

    def _stamp(self, row: Int64) -> Int64:
        """Timestamps of rows; anything where there are no rows at all."""
        return self.timestamps[row] if len(self.timestamps) else np.zeros_like(row)

    def _require(self, known: npt.NDArray[np.bool_], at: Int64) -> None:
        if np.all(known):
            return
        missing = int(at[~known][0])
        raise DataError(
            "DATA-012",
            f"{self.name} has no value at {format_time(missing)}",
            where=self.name,
            available=" … ".join(format_time(int(s)) for s in self.timestamps[[0, -1]])
            if len(self.timestamps)
            else "no rows at all",
        )
