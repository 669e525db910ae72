"""Comparison of datasets with other quotes of the same thing: spreads, and which feed is wrong.

A feed is rejected when more than half of its peers and witnesses contradict it. A feed repaired
from a rejected feed is rejected too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from basis_pipeline.config.dataset import Agreement
from basis_pipeline.config.universe import BARS
from basis_pipeline.errors import CAUSE, DataError
from basis_pipeline.market.causes import Comparison, QuoteSeries, compare_quotes
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.findings import EMPTY, Findings, outlier_rows
from basis_pipeline.market.quality import dataset_verdicts
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.repairs import AS_READ

# Multiple of the limit from which the median difference alone is a contradiction.
CONTRADICTION_FACTOR = 10.0
WICK = "wicks of at most 0.2 that no peer shares"
MAX_WICK = 0.2
PEER_WICK = 0.1

Outcomes = Mapping[str, Dataset | DataError]


def compare_all(
    built: Outcomes, peers: Outcomes, venues: Mapping[str, object]
) -> dict[str, Dataset | DataError]:
    """Return the datasets with the findings of their comparison with other sources.

    A dataset that most of them contradict is replaced by its rejection, RejectedDataError DATA-016,
    and so is a dataset that was repaired from it.

    Parameters
    ----------
    peers: further datasets to compare with.
    venues: configurations by name, to compare the venues' own files of risk parameters with.
    """
    quotes = {n: q for n, q in {**peers, **built}.items() if isinstance(q, Dataset)}
    comparisons = {name: _compare(quote, quotes) for name, quote in quotes.items()}
    causes = {name: sum(bool(r.cause) for r in found) for name, found in comparisons.items()}
    wrong = {
        name: error
        for name, quote in quotes.items()
        if (error := _contradiction(quote, comparisons[name]))
    }

    def outcome(name: str, dataset: Dataset) -> Dataset | DataError:
        rejected = wrong.get(name) or _repaired_from(dataset, wrong)
        # Of two quotes that differ, the one that differs from more others has the fault.
        own = [r for r in comparisons[name] if r.cause and causes[name] >= causes[r.peer]]
        found = tuple(one.cause for one in own)
        return rejected or _compared(dataset, quotes, found, venues)

    return {name: outcome(name, d) if isinstance(d, Dataset) else d for name, d in built.items()}


def _compare(dataset: Dataset, quotes: Mapping[str, Dataset]) -> list[Comparison]:
    rule = dataset.config.agreement
    if rule is None:
        return []
    own = _series(dataset, rule.column)
    names = [name for name in rule.quotes if name in quotes]
    peers = [_series(quotes[name], rule.peer_column) for name in names]
    return [compare_quotes(own, peer, dataset.config.kind, rule) for peer in peers]


def _series(dataset: Dataset, column: str) -> QuoteSeries:
    """Return the feed's own rows."""
    own = dataset.frame.loc[dataset.frame["repair"] == AS_READ, ["timestamp", column]]
    timestamps = pd.DatetimeIndex(own["timestamp"]).asi8
    return QuoteSeries(dataset.name, timestamps, own[column].to_numpy(dtype=np.float64))


def _contradiction(dataset: Dataset, comparisons: list[Comparison]) -> RejectedDataError | None:
    """Return the rejection of a feed that most of its peers and witnesses contradict, if any."""
    rule = dataset.config.agreement
    compared = [r for r in comparisons if r.cause or not np.isnan(r.median_bp)]
    far = CONTRADICTION_FACTOR * rule.max_median_bp if rule else np.inf
    against = [r for r in compared if r.certain or r.median_bp > far]
    if rule is None or 2 * len(against) <= len(compared):
        return None
    first = next((r for r in against if r.cause), against[0])
    names = ", ".join(r.peer for r in against)
    cause = first.cause or "no tested shift, unit or sign explains it"
    return RejectedDataError(
        "DATA-016",
        f"{dataset.name} contradicts {names}: the median difference to {first.peer} is "
        f"{first.median_bp:.4g} bp (limit {rule.max_median_bp:g} bp); {cause}",
        where=dataset.config.glob,
    )


def _repaired_from(
    dataset: Dataset, wrong: Mapping[str, RejectedDataError]
) -> RejectedDataError | None:
    for source in dataset.content_hashes:
        if source in wrong and source != dataset.name:
            what = f"{dataset.name} is repaired from {source}, which was rejected: "
            error = wrong[source]
            return RejectedDataError(
                "DATA-016", what + error.what, where=error.where, context={CAUSE: error.fault}
            )
    return None


def _compared(
    dataset: Dataset,
    quotes: Mapping[str, Dataset],
    causes: tuple[str, ...],
    venues: Mapping[str, object],
) -> Dataset:
    config, findings, rule = dataset.config, dataset.findings, dataset.config.agreement
    peers = [quotes[name] for name in (rule.peers if rule else ()) if name in quotes]
    if rule is not None:
        frames = {peer.name: peer.frame for peer in peers}
        findings = replace(_with_spreads(findings, rule, dataset.frame, frames), causes=causes)
    if config.kind in BARS:
        others = findings.outliers[findings.outliers["bound"] != WICK]
        findings = replace(findings, outliers=outlier_rows([others, *_wicks(dataset, peers)]))
    venue = venues.get(config.of.venue or "")
    verdicts = dataset_verdicts(config, dataset.frame, dataset.own_share, findings, venue)
    return replace(dataset, findings=findings, verdicts=verdicts)


def _wicks(dataset: Dataset, peers: list[Dataset]) -> Iterator[pd.DataFrame]:
    """Rows whose high or low is far beyond open and close, and beyond every peer's."""
    frame = dataset.frame
    open_, close = frame["open"], frame["close"]
    own = frame["repair"] == AS_READ
    for column, body, side in (
        ("high", np.maximum(open_, close), 1.0),
        ("low", np.minimum(open_, close), -1.0),
    ):
        length = pd.Series(side * (frame[column] / body - 1.0), dtype="float64")
        rows = frame.loc[own & (length > MAX_WICK), ["timestamp", column]]
        for peer in peers:
            quotes = peer.frame.loc[peer.frame["repair"] == AS_READ].set_index("timestamp")[column]
            others = quotes.reindex(rows["timestamp"]).to_numpy()
            rows = rows[~(side * (rows[column].to_numpy() / others - 1.0) <= PEER_WICK)]
        if len(rows):
            times = length[rows.index] / MAX_WICK
            rows = rows.set_axis(["timestamp", "value"], axis=1)
            yield rows.assign(column=column, bound=WICK, times=times)


def _with_spreads(
    findings: Findings,
    rule: Agreement,
    frame: pd.DataFrame,
    peers: Mapping[str, pd.DataFrame],
) -> Findings:
    """Return the findings with the price differences to the peers of the rule."""
    total, daily = [], []
    for name in rule.peers:
        rows = _differences(frame, peers[name], rule) if name in peers else pd.DataFrame()
        if rows.empty:
            continue
        spread = rows["bp"].to_numpy()
        at = rows["timestamp"].iloc[int(spread.argmax())]
        total.append((name, float(np.median(spread)), float(spread.max()), at))
        by_day = rows.groupby(rows["timestamp"].dt.floor("D"))["bp"].agg(["median", "max"])
        by_day = by_day.reset_index().set_axis(["day", "median_bp", "max_bp"], axis=1)
        by_day.insert(0, "peer", name)
        daily.append(by_day)
    if not total:
        return replace(findings, spreads=EMPTY["spreads"], daily_spreads=EMPTY["daily_spreads"])
    return replace(
        findings,
        spreads=pd.DataFrame(total, columns=["peer", "median_bp", "max_bp", "at"]),
        daily_spreads=pd.concat(daily, ignore_index=True),
    )


def _differences(frame: pd.DataFrame, other: pd.DataFrame, rule: Agreement) -> pd.DataFrame:
    """`timestamp` and `bp` of every timestamp at which both feeds have own rows."""
    own, peer = (
        f.loc[f["repair"] == AS_READ, ["timestamp", column]].set_axis(["timestamp", side], axis=1)
        for f, column, side in ((frame, rule.column, "own"), (other, rule.peer_column, "peer"))
    )
    both = pd.merge(own, peer, on="timestamp")
    scale = both["peer"] if rule.relative else 1.0
    return both.assign(bp=((both["own"] - both["peer"]) / scale).abs() * 1e4)
