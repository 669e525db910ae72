"""Bars, mark prices and settled funding rates of any exchange that ccxt knows."""

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
from basis_pipeline.market.fetch.http import is_passing
from basis_pipeline.market.fetch.rows import Rows

BARS = ("open", "high", "low", "close", "volume")
BARS_A_PAGE = 500
# Every venue gives so many settlements at once, whatever it is asked for.
SETTLEMENTS_A_PAGE = 100
# Fields in which venues name the symbol that an answer is about.
_NAMED = ("symbol", "instId", "coin", "s")


class Exchange:
    """One exchange for all its feeds, so that its rate limit is kept by all of them together.

    Parameters
    ----------
    url: stands in for scheme and host of its addresses; None for its own.
    spot: whether its spot markets are asked for, or its perpetuals: of a large exchange all markets
        are megabytes that nobody reads.
    """

    def __init__(self, name: str, url: str | None, limits: FetchLimits, *, spot: bool) -> None:
        if name not in ccxt.exchanges:
            what = f"ccxt has no exchange {name!r}"
            near = [one for one in ccxt.exchanges if one[:3] == name[:3]]
            raise FetchError("FETCH-001", what, where="source.exchange", available=", ".join(near))
        milliseconds = int(limits.timeout_seconds * 1000)
        self.api: Any = getattr(ccxt, name)({"enableRateLimit": True, "timeout": milliseconds})
        # Without a key there is nothing to be had of currencies, and bars need none.
        self.api.has["fetchCurrencies"] = False
        self.api.enableLastJsonResponse = True
        if url:
            self.api.urls["api"] = _moved(self.api.urls["api"], url)
        kinds = self.api.options.get("fetchMarkets")
        if isinstance(kinds, dict) and "types" in kinds:
            wanted = {"spot"} if spot else {"swap", "linear", "inverse"}
            kinds["types"] = [kind for kind in kinds["types"] if kind in wanted]
        self.host = Host(urlsplit(url).netloc if url else name, limits)

    def market(self, symbol: str) -> Any:
        """What the exchange says of a symbol. Raises FetchError: FETCH-003 for an unknown one."""
        if symbol not in self.ask(self._markets, f"markets of {self.api.id}"):
            base = symbol.partition("/")[0]
            near = sorted(one for one in self.api.markets if one.startswith(f"{base}/"))
            what = f"{self.api.id} has no market {symbol}"
            available = ", ".join(near) or f"no market of {base}"
            raise FetchError("FETCH-003", what, where="source.symbol", available=available)
        return self.api.market(symbol)

    def _markets(self) -> Any:
        # Of a page of a proxy ccxt makes an exchange without markets, and remembers it.
        return self.api.load_markets(reload=not self.api.markets)

    def ask(self, call: Any, what: str) -> Any:
        """Return the answer of ccxt. Raises FetchError, as `Host.ask`, and FETCH-003."""

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

        return self.host.ask(attempt, what)


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
        """A settlement is final at its time, a candle when it has closed."""
        return now if self.is_funding else now - self.step

    def pages(self, start: int, end: int) -> Iterator[Rows]:
        """Yield one answer of the exchange after the other."""
        market = self.exchange.market(self.source.symbol)
        length = self.step // timedelta(milliseconds=1)
        rows_a_page = SETTLEMENTS_A_PAGE if self.is_funding else self._bars_a_page()
        for low in range(start, end, rows_a_page * length):
            yield from self._window(low, min(end, low + rows_a_page * length), rows_a_page, market)

    def _window(self, start: int, end: int, limit: int, market: Any) -> Iterator[Rows]:
        """Ask for [start, end), and again for what an answer leaves out at either end of it.

        Venues give fewer rows than they are asked for, some the first and some the last of them.
        """
        missing = 1.5 * (self.step // timedelta(milliseconds=1))
        pending = [(start, end)]
        while pending:
            low, high = pending.pop()
            page = self._page(low, high, limit, market)
            yield page
            if stamps := [stamp for stamp in page if low <= stamp < high]:
                first, last = min(stamps), max(stamps)
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
            # ccxt does not pass `until` on in OKX's own word, and without it the latest rows come.
            params = {"after": end}
        what = f"{self.publisher} {source.data}"

        def ask() -> Any:
            if self.is_funding:
                return api.fetch_funding_rate_history(source.symbol, start, limit, params)
            return api.fetch_ohlcv(source.symbol, source.timeframe, start, limit, params)

        answer = self.exchange.ask(ask, what)
        self._require_symbol(api.last_json_response, market, what)
        rows = self._settlements(answer) if self.is_funding else self._bars(answer)
        if wrong := [
            v for values in rows.values() for v in values.values() if not math.isfinite(v)
        ]:
            message = f"{self.publisher} gives {wrong[0]} where a number belongs"
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
        """Compare every symbol that the answer names with the one asked for."""
        own = {market["id"], market["baseId"], market["base"], market.get("baseName")}
        if others := sorted(set(_named(response)) - own):
            message = f"{self.publisher} was asked for, and {', '.join(others[:3])} came"
            raise FetchError("FETCH-005", message, where=what)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _named(response: Any, depth: int = 3) -> Iterator[str]:
    if isinstance(response, dict):
        yield from (response[name] for name in _NAMED if isinstance(response.get(name), str))
        response = list(response.values())
    if isinstance(response, list) and depth:
        for part in response:
            if isinstance(part, (dict, list)):
                yield from _named(part, depth - 1)


def _moved(urls: Any, base: str) -> Any:
    """The addresses of an exchange with another scheme and host."""
    if isinstance(urls, dict):
        return {name: _moved(url, base) for name, url in urls.items()}
    return base.rstrip("/") + urlsplit(urls).path if isinstance(urls, str) else urls


def _is_outage(error: BaseException) -> bool:
    """Whether an error is about the host: what ccxt makes of a status depends on the exchange."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, RequestException):
        return cause.response is None or is_passing(cause.response.status_code)
    return cause is not None and _is_outage(cause)


def _reason(error: Exception) -> str:
    """The error in one line; a body of HTML says nothing."""
    text = " ".join(str(error).partition("<")[0].split())
    return f"{type(error).__name__}: {text[:200]}"
