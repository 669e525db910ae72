"""Fetching the missing data of feeds from the sources in their dataset files.

Feeds of one host are fetched one after the other, hosts in parallel. A feed that fails stops no
other.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from itertools import groupby

from basis_pipeline.config import DatasetConfig
from basis_pipeline.config.automation import FetchLimits
from basis_pipeline.config.source import (
    BinanceArchive,
    Ccxt,
    CopiedFiles,
    DefiLlama,
    EMode,
    EthereumRpc,
    Source,
)
from basis_pipeline.errors import BasisError, FetchError
from basis_pipeline.market.fetch.archive import fetch_archive, zip_name
from basis_pipeline.market.fetch.chain import Chain
from basis_pipeline.market.fetch.chain_series import ChainSeries, e_mode_document
from basis_pipeline.market.fetch.copying import EARLIEST, fetch_files, store_file
from basis_pipeline.market.fetch.exchange import Exchange, ExchangeSeries
from basis_pipeline.market.fetch.http import HttpClient
from basis_pipeline.market.fetch.series import (
    MILLISECOND,
    Progress,
    Series,
    Task,
    fetch_series,
    last_delivered,
    months_of,
)
from basis_pipeline.market.fetch.store import Store
from basis_pipeline.market.fetch.yields import YieldSeries
from basis_pipeline.market.raw import feed_files
from basis_pipeline.settings import PREFIX, SAMPLE, SecretUrl, Settings
from basis_pipeline.verdict import Status

Advance = Callable[[str, str, int, int], None]


@dataclass(frozen=True, slots=True)
class Fetched:
    """The result of fetching one feed.

    Parameters
    ----------
    rows, files: numbers added and written; data received before an error is stored.
    warnings: FETCH-006 and FETCH-010. error: why the fetch stopped early.
    """

    feed: str
    rows: int
    files: int
    warnings: tuple[FetchError, ...]
    error: BasisError | None

    @property
    def status(self) -> Status:
        """FAIL, WARN or PASS."""
        return Status.FAIL if self.error else Status.WARN if self.warnings else Status.PASS


@dataclass(frozen=True, slots=True)
class Request:
    """What to fetch of every feed.

    Parameters
    ----------
    since, until: the span; None means the start of the source, and now.
    now: the present; later data do not exist.
    verify: also request complete months again, and compare them with the stored ones.
    accept: replace stored values by revised ones.
    """

    now: datetime
    since: datetime | None = None
    until: datetime | None = None
    verify: bool = False
    accept: bool = False


def require_sources(
    datasets: Mapping[str, DatasetConfig], feeds: Sequence[str]
) -> list[DatasetConfig]:
    """Return the named feeds, each once; without names all that have a source.

    Raises
    ------
    FetchError: FETCH-001 when one is unknown, or has no source.
    """
    sources = [name for name, config in datasets.items() if config.source]
    for name in feeds:
        if name not in sources:
            reason = "has no source in its dataset file" if name in datasets else "is not a dataset"
            what = f"{name} {reason}"
            raise FetchError("FETCH-001", what, available=", ".join(sources) or "no feed")
    return [datasets[name] for name in dict.fromkeys(feeds or sources)]


def fetch_feeds(
    configs: Iterable[DatasetConfig],
    settings: Settings,
    limits: FetchLimits,
    request: Request,
    advance: Advance = lambda *_: None,
) -> dict[str, Fetched]:
    """Fetch the missing data of each feed.

    Parameters
    ----------
    configs: feeds that have a source.
    advance: called in several threads with a feed, its next piece of work, and the numbers of
        pieces done and in all.

    Raises
    ------
    FetchError: FETCH-008 when the data directory contains sample data.
    """
    require_no_sample(settings)
    ordered = sorted(configs, key=lambda config: (_host_key(config.source), config.name))
    groups = [list(group) for _, group in groupby(ordered, lambda config: _host_key(config.source))]

    def fetch(group: list[DatasetConfig]) -> list[Fetched]:
        with ExitStack() as stack:
            session = _Session(settings, limits, stack)
            return [_fetch(config, session, request, advance) for config in group]

    with ThreadPoolExecutor(max(len(groups), 1), "fetch") as pool:
        results = {one.feed: one for done in pool.map(fetch, groups) for one in done}
    return dict(sorted(results.items()))


def plan(config: DatasetConfig, settings: Settings, request: Request) -> list[str]:
    """List the months or files that a fetch would request; nothing is requested."""
    require_no_sample(settings)
    store = Store(settings.data_dir, config)
    task = _task(config, store, request)
    match config.source:
        case CopiedFiles(path=path):
            return [path]
        case EthereumRpc(read=EMode()):
            return ["the current parameters"]
        case BinanceArchive() as source:
            wanted = months_of(store, task, lambda m: store.path_of(zip_name(source, str(m))))
        case _:
            wanted = months_of(store, task)
    return [str(month) for month in wanted]


def require_no_sample(settings: Settings) -> None:
    """Raise FETCH-008 when the data directory contains sample data."""
    if (settings.data_dir / SAMPLE).exists():
        raise FetchError(
            "FETCH-008",
            "the data directory contains sample data, to which fetched data cannot be added",
            where=str(settings.data_dir),
            action="name another directory with --data-dir or BASIS_DATA_DIR",
        )


@dataclass
class _Session:
    """Connections to one host, shared by its feeds."""

    settings: Settings
    limits: FetchLimits
    stack: ExitStack
    exchanges: dict[bool, Exchange] = field(default_factory=dict)
    chains: dict[int, Chain] = field(default_factory=dict)

    def series(self, config: DatasetConfig) -> Series:
        """Return the rows of a feed as a series."""
        step = timedelta(hours=config.frequency_hours or 1)
        match config.source:
            case Ccxt() as source:
                spot = ":" not in source.symbol
                if spot not in self.exchanges:
                    exchange = Exchange(source.exchange, source.url, self.limits, spot=spot)
                    self.exchanges[spot] = exchange
                    self.stack.callback(exchange.api.session.close)
                return ExchangeSeries(source, self.exchanges[spot], step)
            case EthereumRpc() as source:
                return ChainSeries(source, self.chain(source), step)
            case DefiLlama() as source:
                return YieldSeries(source, self.http(source.url))
        raise TypeError(f"{config.name} has no series")

    def http(self, url: str) -> HttpClient:
        """Return an HTTP client that is closed when the session ends."""
        http = HttpClient(url, self.limits)
        self.stack.callback(http.client.close)
        return http

    def chain(self, source: EthereumRpc) -> Chain:
        """Return the chain of a source."""
        if source.chain_id not in self.chains:
            http = self.http(self.endpoint(source))
            self.chains[source.chain_id] = Chain(http, source.chain_id)
        return self.chains[source.chain_id]

    def endpoint(self, source: EthereumRpc) -> str:
        """Return the URL of an endpoint, its key included. Raises FetchError: FETCH-009."""
        if source.url is not None:
            return source.url
        name = source.url_variable or ""
        own = getattr(self.settings, name.removeprefix(PREFIX).lower(), "")
        url = own.get_secret_value() if isinstance(own, SecretUrl) else ""
        if not (url := url or os.environ.get(name, "")):
            what = f"{name} is not set: it must contain the URL of an archive node"
            action = f"export {name}=https://…, or add it to the environment file"
            raise FetchError("FETCH-009", what, where="source.url_variable", action=action)
        return url


def _fetch(config: DatasetConfig, session: _Session, request: Request, advance: Advance) -> Fetched:
    progress, error = Progress(), None
    try:
        store = Store(session.settings.data_dir, config)
        with store.lock(session.limits.lock_seconds):
            task = _task(config, store, request, advance)
            _fetch_by_kind(config, session, store, task, progress)
        advance(config.name, "", 1, 1)
    except BasisError as failure:
        error = failure
    except OSError as failure:
        what = f"{config.name} cannot be stored: {failure.strerror or failure}"
        error = FetchError("FETCH-008", what, where=str(failure.filename or store.folder))
    except Exception as failure:  # noqa: BLE001 - an unforeseen answer stops only its feed
        reason = " ".join(str(failure).split())[:200]
        what = f"{config.name}: the answer cannot be used: {type(failure).__name__}: {reason}"
        error = FetchError("FETCH-004", what)
    return Fetched(config.name, progress.rows, progress.files, tuple(progress.warnings), error)


def _fetch_by_kind(
    config: DatasetConfig, session: _Session, store: Store, task: Task, progress: Progress
) -> None:
    match config.source:
        case BinanceArchive() as source:
            fetch_archive(source, session.http(source.url), store, task, progress)
        case CopiedFiles(path=path):
            fetch_files(path, store, task, progress)
        case EthereumRpc(read=EMode() as read) as source:
            names = map(store.key, feed_files(store.data_dir, config))
            if delivered := [name for name in names if name not in store.manifest.files]:
                what = f"{delivered[0]} was not fetched, and holds what a fetch would store"
                action = "remove the file, or fetch into another data directory"
                raise FetchError("FETCH-012", what, where=delivered[0], action=action)
            document = e_mode_document(read, session.chain(source))
            name = config.glob.rpartition("/")[2].replace("*", "latest")
            content = json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"
            publisher = f"chain {source.chain_id}"
            store_file(content, store.path_of(name), publisher, store, task, progress)
        case _:
            fetch_series(session.series(config), store, task, progress)


def _task(
    config: DatasetConfig, store: Store, request: Request, advance: Advance = lambda *_: None
) -> Task:
    since = getattr(config.source, "since", None)
    earliest = datetime.combine(since, time(), UTC) if since else EARLIEST
    if isinstance(config.source, (Ccxt, EthereumRpc, DefiLlama)) and not config.is_document:
        last = last_delivered(store)
        earliest = max(earliest, last + MILLISECOND) if last else earliest
    return Task(
        earliest=earliest,
        since=request.since or earliest,
        until=request.until or request.now,
        now=request.now,
        verify=request.verify,
        accept=request.accept,
        advance=lambda piece, done, total: advance(config.name, piece, done, total),
    )


def _host_key(source: Source | None) -> str:
    """Return a key that feeds of one host share."""
    match source:
        case Ccxt():
            return f"{source.exchange} {source.url or ''}"
        case CopiedFiles():
            return "files"
        case None:
            return ""
    return str(source.url or getattr(source, "url_variable", ""))


def open_revisions(config: DatasetConfig, settings: Settings) -> dict[str, int]:
    """Return, by file of a feed, the number of stored values that its source has changed."""
    return dict(Store(settings.data_dir, config).manifest.revisions)
