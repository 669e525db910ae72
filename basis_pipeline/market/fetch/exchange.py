"""Bars, mark prices and settled funding rates of any exchange that ccxt supports."""

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import urlsplit

import ccxt
from requests.exceptions import RequestException

from basis_pipeline.config.automation import FetchLimits
from basis_pipeline.config.source import Ccxt
from basis_pipeline.errors import FetchError
from basis_pipeline.market.fetch.attempts import Host, Unavailable, retry_after
from basis_pipeline.market.fetch.http import is_temporary
from basis_pipeline.market.fetch.rows import Rows

BARS = ("open", "high", "low", "close", "volume")
BARS_A_PAGE = 500
# Every venue returns at least this number of settlements per request.
SETTLEMENTS_A_PAGE = 100
# Fields in which venues state the symbol of an answer.
_SYMBOL_FIELDS = ("symbol", "instId", "coin", "s")


class Exchange:
    """One exchange, shared by all its feeds so that they keep its rate limit together.

    Parameters
    ----------
    url: replaces scheme and host of the exchange's own URLs; None leaves them.
    spot: whether to load the spot markets or the perpetuals; all markets of a large exchange would
        be megabytes.
    """

    def __init__(self, name: str, url: str | None, limits: FetchLimits, *, spot: bool) -> None:
        if name not in ccxt.exchanges:
            what = f"ccxt has no exchange {name!r}"
            near = [one for one in ccxt.exchanges if one[:3] == name[:3]]
            raise FetchError("FETCH-001", what, where="source.exchange", available=", ".join(near))
        milliseconds = int(limits.timeout_seconds * 1000)
        self.api: Any = getattr(ccxt, name)({"enableRateLimit": True, "timeout": milliseconds})
        # The list of currencies needs a key, and bars do not need the list.
        self.api.has["fetchCurrencies"] = False
        self.api.enableLastJsonResponse = True
        if url:
            self.api.urls["api"] = _with_host(self.api.urls["api"], url)
        kinds = self.api.options.get("fetchMarkets")
        if isinstance(kinds, dict) and "types" in kinds:
            wanted = {"spot"} if spot else {"swap", "linear", "inverse"}
            kinds["types"] = [kind for kind in kinds["types"] if kind in wanted]
        self.host = Host(urlsplit(url).netloc if url else name, limits)

    def market(self, symbol: str) -> Any:
        """Return ccxt's market of a symbol. Raises FetchError: FETCH-003 for an unknown one."""
        if symbol not in self.request(self._markets, f"markets of {self.api.id}"):
            base = symbol.partition("/")[0]
            near = sorted(one for one in self.api.markets if one.startswith(f"{base}/"))
            what = f"{self.api.id} has no market {symbol}"
            available = ", ".join(near) or f"no market of {base}"
            raise FetchError("FETCH-003", what, where="source.symbol", available=available)
        return self.api.market(symbol)

    def _markets(self) -> Any:
        # When a proxy answers in its place, ccxt caches an exchange without markets: load again.
        return self.api.load_markets(reload=not self.api.markets)

    def request(self, call: Any, what: str) -> Any:
        """Return the result of a ccxt call. Raises FetchError, as `Host.retry`, and FETCH-003."""

        def attempt() -> Any:
            try:
                answer = call()
            except ccxt.NetworkError as error:
                headers = self.api.last_response_headers or {}
                wait = retry_after(headers.get("Retry-After"))
                raise Unavailable(_reason(error), retry_after=wait) from None
            except (ccxt.BadResponse, RequestException, ValueError, KeyError, TypeError) as error:
                raise Unavailable(_reason(error), damaged=True) from None
            except ccxt.BaseError as error:
                if _is_outage(error):
                    raise Unavailable(_reason(error)) from None
                message = f"{self.api.id}: {_reason(error)}"
                raise FetchError("FETCH-003", message, where=what) from None
            if self.api.last_json_response is None:
                raise Unavailable("the answer is not JSON", damaged=True)
            return answer

        return self.host.retry(attempt, what)


class ExchangeSeries:
    """One symbol of an exchange."""

    def __init__(self, source: Ccxt, exchange: Exchange, step: timedelta) -> None:
        self.source, self.exchange = source, exchange
        self.publisher = f"{source.exchange} {source.symbol}"
        self.is_funding = source.data == "funding"
        self.columns = frozenset(("funding_rate",) if self.is_funding else BARS)
        self.step = step
        if not self.is_funding:
            self.step = timedelta(seconds=ccxt.Exchange.parse_timeframe(source.timeframe))

    def latest(self, now: datetime) -> datetime:
        """Return now for settlements, which are final at once; one step earlier for candles."""
        return now if self.is_funding else now - self.step

    def pages(self, start: int, end: int) -> Iterator[Rows]:
        """Yield the answers of the exchange one after the other."""
        market = self.exchange.market(self.source.symbol)
        length = self.step // timedelta(milliseconds=1)
        rows_a_page = SETTLEMENTS_A_PAGE if self.is_funding else self._bars_a_page()
        for low in range(start, end, rows_a_page * length):
            yield from self._window(low, min(end, low + rows_a_page * length), rows_a_page, market)

    def _window(self, start: int, end: int, limit: int, market: Any) -> Iterator[Rows]:
        """Request [start, end), and again what an answer lacks at either end.

        Venues return fewer rows than requested: some the first of them, some the last.
        """
        missing = 1.5 * (self.step // timedelta(milliseconds=1))
        pending = [(start, end)]
        while pending:
            low, high = pending.pop()
            page = self._page(low, high, limit, market)
            yield page
            if timestamps := [timestamp for timestamp in page if low <= timestamp < high]:
                first, last = min(timestamps), max(timestamps)
                pending += [(low, first)] if first - low > missing else []
                pending += [(last + 1, high)] if high - last > missing else []

    def _bars_a_page(self) -> int:
        limit = self.exchange.api.feature_value(self.source.symbol, "fetchOHLCV", "limit")
        return min(BARS_A_PAGE, int(limit or BARS_A_PAGE))

    def _page(self, start: int, end: int, limit: int, market: Any) -> Rows:
        api, source = self.exchange.api, self.source
        params: dict[str, Any] = {"until": end - 1}
        if source.data == "mark_bars":
            params["price"] = "mark"
        if self.is_funding and isinstance(api, ccxt.okx):
            # ccxt does not translate `until` for OKX, which then returns the latest rows.
            params = {"after": end}
        what = f"{self.publisher} {source.data}"

        def call() -> Any:
            if self.is_funding:
                return api.fetch_funding_rate_history(source.symbol, start, limit, params)
            return api.fetch_ohlcv(source.symbol, source.timeframe, start, limit, params)

        answer = self.exchange.request(call, what)
        self._require_symbol(api.last_json_response, market, what)
        rows = self._settlements(answer) if self.is_funding else self._bars(answer)
        if wrong := [
            v for values in rows.values() for v in values.values() if not math.isfinite(v)
        ]:
            message = f"{self.publisher} returned {wrong[0]} instead of a number"
            raise FetchError("FETCH-004", message, where=what)
        return rows

    def _bars(self, answer: list[list[float | None]]) -> Rows:
        mark = self.source.data == "mark_bars"
        return {
            int(cast("float", bar[0])): dict(
                zip(BARS, (*map(_number, bar[1:5]), 0.0 if mark else _number(bar[5])), strict=True)
            )
            for bar in answer
        }

    def _settlements(self, answer: list[dict[str, Any]]) -> Rows:
        return {
            int(one["timestamp"]): {"funding_rate": _number(one["fundingRate"])} for one in answer
        }

    def _require_symbol(self, response: Any, market: Any, what: str) -> None:
        """Raise FETCH-005 when the answer states another symbol than the requested one."""
        own = {market["id"], market["baseId"], market["base"], market.get("baseName")}
        if others := sorted(set(_symbols(response)) - own):
            message = f"{self.publisher} was requested, and {', '.join(others[:3])} returned"
            raise FetchError("FETCH-005", message, where=what)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _symbols(response: Any, depth: int = 3) -> Iterator[str]:
    if isinstance(response, dict):
        yield from (
            response[name] for name in _SYMBOL_FIELDS if isinstance(response.get(name), str)
        )
        response = list(response.values())
    if isinstance(response, list) and depth:
        for part in response:
            if isinstance(part, (dict, list)):
                yield from _symbols(part, depth - 1)


def _with_host(urls: Any, base: str) -> Any:
    """URLs of an exchange with another scheme and host."""
    if isinstance(urls, dict):
        return {name: _with_host(url, base) for name, url in urls.items()}
    return base.rstrip("/") + urlsplit(urls).path if isinstance(urls, str) else urls


def _is_outage(error: BaseException) -> bool:
    """Whether an error is an outage: ccxt maps HTTP statuses differently for each exchange."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, RequestException):
        return cause.response is None or is_temporary(cause.response.status_code)
    return cause is not None and _is_outage(cause)


def _reason(error: Exception) -> str:
    """One line of an error, without an HTML body."""
    text = " ".join(str(error).partition("<")[0].split())
    return f"{type(error).__name__}: {text[:200]}"
