"""The times of a dataset's rows, and the row that is valid at a time (SEMANTICS 1, 3)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from basis_pipeline.errors import DataError
from basis_pipeline.market.timestamps import Int64, format_time

Floats = npt.NDArray[np.float64]


def locate(haystack: Int64, timestamps: Int64) -> tuple[Int64, npt.NDArray[np.bool_]]:
    """Return the position of each timestamp in a sorted array, and whether it is in it."""
    at = np.minimum(np.searchsorted(haystack, timestamps), max(len(haystack) - 1, 0))
    found = haystack[at] == timestamps if len(haystack) else np.zeros(len(timestamps), dtype=bool)
    return at.astype(np.int64), found


@dataclass(frozen=True, slots=True)
class Timeline:
    """Strictly increasing timestamps of a dataset's rows.

    name: of the dataset, for messages · timestamps: (rows,) int64 ns · step: ns between two rows.
    """

    name: str
    timestamps: Int64
    step: int

    def held(self, at: Int64) -> Int64:
        """Return the row that holds at each time: the last one not later, less than a step old.

        Raises DataError DATA-012 where there is none.
        """
        row = np.searchsorted(self.timestamps, at, side="right") - 1
        age = at - self._timestamp(row)
        self._require((row >= 0) & (age < self.step), at)
        return row.astype(np.int64)

    def bracket(self, at: Int64) -> tuple[Int64, Int64, Floats]:
        """Return the rows around each time and the elapsed share of their interval, in [0, 1).

        On a row's own timestamp both are that row. Raises DataError DATA-012 outside the rows.
        """
        before = np.searchsorted(self.timestamps, at, side="right") - 1
        elapsed = at - self._timestamp(before)
        after = np.where(elapsed > 0, before + 1, before)
        self._require((before >= 0) & (after < len(self.timestamps)), at)
        length = self.timestamps[after] - self.timestamps[before]
        return before, after, elapsed / np.maximum(length, 1)

    def _timestamp(self, row: Int64) -> Int64:
        """Timestamps of rows; zeros without any rows."""
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
            else "no rows",
        )
