"""`fetch/<feed>`: the raw files of a feed, fetched by month from the source in its dataset file.

No asset depends on these, so no other run causes a fetch. The sensor `raw_files` finds the files
they store, like files that a person delivers.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from basis_pipeline.config import Configs, DatasetConfig
from basis_pipeline.config.automation import load_automation_limits
from basis_pipeline.config.source import Ccxt, CopiedFiles, EMode, EthereumRpc
from basis_pipeline.errors import BasisError
from basis_pipeline.market.glossary import MEANINGS
from basis_pipeline.market.quality import PHASE
from basis_pipeline.operations.control import require_not_shut_down
from basis_pipeline.orchestration.checks import check_result, check_spec
from basis_pipeline.orchestration.failures import as_failure, coded_failures
from basis_pipeline.orchestration.groups import FETCH
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.settings import config_directory
from basis_pipeline.verdict import judge

if TYPE_CHECKING:
    from basis_pipeline.market.fetch.feed import Fetched

UNREVISED = "unrevised"
CODE_VERSION = "1"
AS_FETCHED = (
    "Complete months are not fetched again; the current month is rewritten. Values that the source "
    "has changed are kept beside the stored ones."
)
# Errors that an outage may cause: the source may answer a minute later.
RETRIED = ("FETCH-002", "FETCH-004", "FETCH-007", "FETCH-011")
RETRIES = dg.RetryPolicy(max_retries=2, delay=60.0, backoff=dg.Backoff.EXPONENTIAL)


class FetchOptions(dg.Config):
    """How complete months are treated: kept, or with `verify` fetched again and compared."""

    verify: bool = False


def fetch_key(feed: str) -> dg.AssetKey:
    """Return the asset key of a fetched feed."""
    return dg.AssetKey([FETCH, feed])


def fetch_assets(configs: Configs) -> list[dg.AssetsDefinition]:
    """Return one asset per feed that has a source."""
    feeds = [config for config in configs.datasets.values() if config.source]
    partitions = _month_partitions(feeds)
    return [_fetch_asset(config, partitions) for config in feeds]


def _month_partitions(feeds: list[DatasetConfig]) -> dg.MonthlyPartitionsDefinition | None:
    """Return the months from the earliest start of any source to the current one.

    All feeds share one definition, because an asset job has only one.
    """
    starts = [since for feed in feeds if (since := getattr(feed.source, "since", None))]
    if not starts:
        return None
    return dg.MonthlyPartitionsDefinition(min(starts).replace(day=1).isoformat(), end_offset=1)


def _fetch_asset(
    feed: DatasetConfig, partitions: dg.MonthlyPartitionsDefinition | None
) -> dg.AssetsDefinition:
    key, source = fetch_key(feed.name), feed.source
    assert source is not None
    is_whole = isinstance(source, CopiedFiles) or (
        isinstance(source, EthereumRpc) and isinstance(source.read, EMode)
    )
    unchanged = "the source still returns the stored values. A warning: it stops nothing."

    @dg.asset(
        key=key,
        group_name=FETCH,
        partitions_def=None if is_whole else partitions,
        pool=f"{FETCH}_{source.exchange if isinstance(source, Ccxt) else source.kind}",
        retry_policy=RETRIES,
        check_specs=[check_spec(key, UNREVISED, "WARN", unchanged, PHASE)],
        kinds={"json" if feed.is_document else "csv"},
        owners=[f"team:{feed.owner}"],
        code_version=CODE_VERSION,
        description=_description(feed),
    )
    def fetched(
        context: dg.AssetExecutionContext, config: FetchOptions, options: RunOptions
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Fetch the missing data of a month; a complete month needs no call."""
        # ccxt is slow to import, and no other run needs it.
        from basis_pipeline.market.fetch.feed import Request, fetch_feeds, open_revisions

        window = None if is_whole else context.partition_time_window
        request = Request(
            now=datetime.now(UTC),
            since=window.start if window else None,
            until=window.end if window else None,
            verify=config.verify,
        )
        with coded_failures():
            require_not_shut_down(options.settings, FETCH)
            limits = load_automation_limits(config_directory()).fetch
            done = fetch_feeds([feed], options.settings, limits, request)[feed.name]
            revised = open_revisions(feed, options.settings)
        if done.error:
            raise _failure(done.error)
        yield _result(key, done, revised)

    return fetched


def _result(
    key: dg.AssetKey, done: "Fetched", revised: dict[str, int]
) -> dg.MaterializeResult[None]:
    count = sum(revised.values())
    message = f"{count} stored values differ from those of the source now" if count else "none"
    verdict = judge(UNREVISED, "WARN", not count, message, phase=PHASE, evidence=dict(revised))
    metadata: dict[str, Any] = {"rows_added": done.rows, "files_written": done.files}
    for warning in done.warnings:
        metadata[warning.code] = warning.what
    results = [check_result(key, verdict)]
    return dg.MaterializeResult(key, metadata=metadata, check_results=results)


def _failure(error: BasisError) -> dg.Failure:
    failure = as_failure(error)
    failure.allow_retries = error.code in RETRIED
    return failure


def _description(feed: DatasetConfig) -> str:
    source, meaning = feed.source, MEANINGS[feed.kind]
    assert source is not None
    keys = ", ".join(
        f"{name} {value}"
        for name, value in source.model_dump(mode="json", exclude_none=True).items()
        if isinstance(value, str) and name not in ("url", "url_variable")
    )
    return "\n\n".join(
        (
            f"{feed.description}, fetched. {AS_FETCHED}",
            f"**Units:** those of the source, in the columns of `{feed.glob}`.",
            f"**Source:** {keys}.",
            f"**What is at stake:** {meaning.wrong}",
        )
    )
