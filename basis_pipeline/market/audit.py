"""Audit of a data directory: one evaluation of every feed, for tables, pages and assets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.errors import DataError
from basis_pipeline.market.dataset import Dataset, try_build
from basis_pipeline.market.fetch.store import read_revisions
from basis_pipeline.market.findings import Findings, find_in_feed
from basis_pipeline.market.peers import compare_all
from basis_pipeline.market.quality import rejected_verdicts
from basis_pipeline.market.raw import RawFeed, read_feeds
from basis_pipeline.market.window import Window
from basis_pipeline.verdict import Status, Verdict, count_of

WORST_FIRST = (Status.FAIL, Status.WARN, Status.PASS, Status.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class FeedAudit:
    """One feed: its findings, and whether a dataset can be built from it.

    verdicts: of every check of its dataset. error: why the feed or its dataset was rejected.
    revisions: stored values that its source has changed, from `read_revisions`; None where it was
        never fetched.
    """

    config: DatasetConfig
    findings: Findings
    verdicts: tuple[Verdict, ...]
    error: DataError | None = None
    revisions: pd.DataFrame | None = None

    @property
    def feed(self) -> str:
        """The feed's name."""
        return self.config.name

    @property
    def verdict(self) -> Status:
        """The verdict on the feed.

        PASS: used as read. WARN: repaired, unusual, different from another source, or revised by
        its own source. FAIL: rejected. N/A: there are no files.
        """
        if self.error is not None:
            absent = self.error.code == "DATA-001"
            return Status.NOT_APPLICABLE if absent else Status.FAIL
        warned = any(verdict.status is Status.WARN for verdict in self.verdicts)
        return Status.WARN if warned or self.findings.repairs or self.revised else Status.PASS

    @property
    def revised(self) -> int:
        """Number of stored values that its source has changed."""
        return 0 if self.revisions is None else int((self.revisions["state"] == "open").sum())

    @property
    def gaps(self) -> int | None:
        """Number of stretches without own rows; None where the feed has no regular rows."""
        is_regular = self.config.frequency_hours is not None and not self.config.is_document
        return len(self.findings.gaps) if is_regular and self.findings.rows else None

    @property
    def longest_gap_hours(self) -> int | None:
        """Length of the longest gap, 0 without any; None where the feed has no regular rows."""
        return None if self.gaps is None else max(self.findings.gaps["hours"].tolist(), default=0)

    @property
    def message(self) -> str:
        """Why the feed was rejected, or what was repaired or is unusual."""
        if self.error is not None:
            return str(self.error)
        parts = [f"{count_of(n, 'row')} {kind}" for kind, n in self.findings.repairs.items()]
        parts += [v.message for v in self.verdicts if v.status is Status.WARN]
        if duplicates := self.findings.duplicates:
            parts.append(f"{count_of(duplicates, 'exact duplicate')} dropped")
        if self.revised:
            parts.append(f"{count_of(self.revised, 'stored value')} revised since by the source")
        return "; ".join(parts)

    @property
    def limits(self) -> tuple[float, float] | None:
        """Limits of the median and the largest spread [bp]."""
        rule = self.config.agreement
        return (rule.max_median_bp, rule.max_gap_bp) if rule else None


def audit(
    data_dir: Path,
    configs: Iterable[DatasetConfig],
    venues: Mapping[str, object],
    window: Window | None = None,
) -> list[FeedAudit]:
    """Read every feed and try to build its dataset over `window`, or over its own span.

    Rejected data never raise: the audit of the feed holds the error. The worst verdicts come first.

    Parameters
    ----------
    venues: configurations by name, to compare the venues' own risk parameters with.
    """
    catalogue = list(configs)
    feeds = read_feeds(data_dir, catalogue)
    windows = {config.name: window or own_window(feeds[config.name]) for config in catalogue}
    built = {config.name: try_build(config, feeds, windows[config.name]) for config in catalogue}
    outcomes = compare_all(built, {}, venues)
    return worst_first(
        replace(
            audit_feed(config, outcomes[config.name], feeds, windows[config.name]),
            revisions=read_revisions(data_dir, config.name),
        )
        for config in catalogue
    )


def audit_feed(
    config: DatasetConfig,
    outcome: Dataset | DataError,
    feeds: Mapping[str, RawFeed | DataError],
    window: Window,
) -> FeedAudit:
    """Return the audit of one feed: the findings of its build, or why it was rejected.

    feeds: used only where the dataset was rejected, for findings on the files.
    """
    if isinstance(outcome, Dataset):
        return FeedAudit(config, outcome.findings, outcome.verdicts)
    raw = feeds.get(config.name)
    findings = find_in_feed(raw, window) if isinstance(raw, RawFeed) else Findings()
    return FeedAudit(config, findings, rejected_verdicts(config, outcome), outcome)


def worst_first(audits: Iterable[FeedAudit]) -> list[FeedAudit]:
    """Return the audits sorted by verdict, kind and name."""
    return sorted(audits, key=lambda a: (WORST_FIRST.index(a.verdict), a.config.kind, a.feed))


def count_verdicts(audits: Iterable[FeedAudit]) -> dict[Status, int]:
    """Return how many feeds have each verdict, worst first."""
    verdicts = [audit.verdict for audit in audits]
    return {verdict: verdicts.count(verdict) for verdict in WORST_FIRST}


def audit_table(audits: Iterable[FeedAudit]) -> pd.DataFrame:
    """Return one row per feed: its content, its verdict, and the reason."""
    rows = [
        {
            "feed": audit.feed,
            "kind": audit.config.kind.value,
            "files": audit.findings.files,
            "first": audit.findings.first,
            "last": audit.findings.last,
            "rows": audit.findings.rows,
            "gaps": audit.gaps,
            "longest_gap_hours": audit.longest_gap_hours,
            "exact_duplicates": audit.findings.duplicates,
            "outliers": len(audit.findings.outliers),
            "verdict": audit.verdict.value,
            "code": audit.error.code if audit.error else "",
            "message": audit.message,
            "remarks": list(audit.findings.remarks),
        }
        for audit in audits
    ]
    return pd.DataFrame(rows)


def own_window(raw: RawFeed | DataError) -> Window:
    """Return the full hours that a feed spans; one day without time or with one timestamp."""
    span = raw.span if isinstance(raw, RawFeed) else None
    first, last = span or (pd.Timestamp("2024-01-01", tz="UTC"),) * 2
    start, end = first.floor("h"), last.floor("h")
    return Window(start, end if end > start else start + pd.Timedelta(days=1))
