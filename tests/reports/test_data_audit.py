"""The data audit: quotes that are at odds, whatever shows it."""

from dataclasses import replace

from basis_pipeline.market.audit import FeedAudit
from basis_pipeline.reports.audit_tables import pairs


def test_a_pair_is_at_odds_where_a_cause_was_found_within_the_bounds(
    audits: list[FeedAudit],
) -> None:
    """Either of the two may be the shifted one; the other pairs do not change."""
    first, spread = next((a, s) for a, s in pairs(audits) if not s["beyond"])
    names = {first.feed, str(spread["peer"])}
    before = sum(bool(s["beyond"]) for _, s in pairs(audits))
    for own in names:
        (other,) = names - {own}
        cause = f"its changes follow those of {other} when its rows are moved by +8 h"
        accused = [
            replace(audit, findings=replace(audit.findings, causes=(cause,)))
            if audit.feed == own
            else audit
            for audit in audits
        ]
        assert sum(bool(s["beyond"]) for _, s in pairs(accused)) == before + 1
