"""Which runs may go: the newest of every mode, and those of a certain age, stay."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from basis_pipeline.results.database.runs import RunRecord


def prunable(
    records: Iterable[RunRecord], *, keep: int = 1, before: datetime | None = None
) -> list[RunRecord]:
    """Runs beyond the newest `keep` of their mode, of those recorded before a time where given.

    Parameters
    ----------
    records: in the order they were recorded.
    keep: 1 or more: the latest run of a mode always stays.
    """
    newer: Counter[str] = Counter()
    found = []
    for record in reversed(list(records)):
        if newer[record.mode] >= max(keep, 1) and (before is None or record.created_at < before):
            found.append(record)
        newer[record.mode] += 1
    return found[::-1]
