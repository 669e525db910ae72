"""Binance, Bybit, OKX and Hyperliquid as ccxt asks them: markets, candles, settled funding.

One server answers for all four: their paths differ. What is later than the clock does not exist,
and the candle of the present hour still moves.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.market.fetch.clock import HOUR_MS, MarketClock
from tests.market.fetch.quotes import Bar, Market, Quotes
from tests.market.fetch.server import NOT_FOUND, Answer, Asked, Server, serving

Found = list[tuple[int, Bar]]


@contextmanager
def exchanges(quotes: Quotes, clock: MarketClock, port: int = 0) -> Iterator[Server]:
    """Run a server of the four exchanges until the end of the block."""
    with serving(Exchanges(quotes, clock), port) as server:
        yield server


class Exchanges:
    """The answers of four exchanges."""

    def __init__(self, quotes: Quotes, clock: MarketClock) -> None:
        self.quotes, self.clock = quotes, clock
        self.routes: dict[str, Callable[[Asked], Any]] = {
            "/api/v3/exchangeInfo": lambda _: self._binance_info(perpetual=False),
            "/fapi/v1/exchangeInfo": lambda _: self._binance_info(perpetual=True),
            "/api/v3/klines": lambda asked: self._binance_klines(asked, perpetual=False),
            "/fapi/v1/klines": lambda asked: self._binance_klines(asked, perpetual=True),
            "/fapi/v1/markPriceKlines": lambda asked: self._binance_klines(asked, perpetual=True),
            "/fapi/v1/fundingRate": self._binance_funding,
            "/v5/market/instruments-info": self._bybit_info,
            "/v5/market/kline": self._bybit_klines,
            "/v5/market/mark-price-kline": self._bybit_klines,
            "/v5/market/funding/history": self._bybit_funding,
            "/api/v5/public/instruments": self._okx_info,
            "/api/v5/market/candles": self._okx_candles,
            "/api/v5/market/history-candles": self._okx_candles,
            "/api/v5/public/funding-rate-history": self._okx_funding,
            "/info": self._hyperliquid,
        }

    def __call__(self, asked: Asked) -> Answer:
        """Answer one request."""
        route = self.routes.get(asked.path)
        return Answer(route(asked)) if route else NOT_FOUND

    def _of(self, venue: str) -> list[Market]:
        every = self.quotes.bars.keys() | self.quotes.funding.keys()
        return sorted(market for market in every if market.venue == venue)

    def _market(self, venue: str, name: str, *, perpetual: bool) -> Market:
        return next(
            market
            for market in self._of(venue)
            if bool(market.settle) == perpetual
            and name in (f"{market.base}{market.quote}", market.base)
        )

    def _candles(self, market: Market, since: int, until: int) -> Found:
        """Candles of [since, until] that have begun; that of the present hour still moves."""
        found = []
        for timestamp, bar in self.quotes.bars[market].items():
            if since <= timestamp <= until and timestamp <= self.clock.ms:
                moving = timestamp + HOUR_MS > self.clock.ms
                found.append((timestamp, bar._replace(close=bar.open) if moving else bar))
        return found

    def _settled(self, market: Market, since: int, until: int) -> list[tuple[int, float]]:
        rates = self.quotes.funding[market].items()
        return [(s, r) for s, r in rates if since <= s <= until and s <= self.clock.ms]

    # Binance gives the first rows from startTime on.

    def _binance_info(self, *, perpetual: bool) -> Any:
        filters = [
            {"filterType": "PRICE_FILTER", "tickSize": "0.0001", "minPrice": "0", "maxPrice": "9"},
            {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "9000"},
        ]
        symbols = []
        for market in self._of("binance"):
            symbol: dict[str, Any] = {
                "symbol": f"{market.base}{market.quote}",
                "baseAsset": market.base,
                "quoteAsset": market.quote,
                "status": "TRADING",
                "filters": filters,
            }
            if market.settle:
                symbol |= {
                    "contractType": "PERPETUAL",
                    "marginAsset": market.settle,
                    "deliveryDate": 4133404800000,
                }
            if bool(market.settle) == perpetual:
                symbols.append(symbol)
        return {"symbols": symbols}

    def _binance_klines(self, asked: Asked, *, perpetual: bool) -> Any:
        query = asked.query
        market = self._market("binance", query["symbol"], perpetual=perpetual)
        found = self._candles(market, int(query["startTime"]), int(query["endTime"]))
        return [
            [timestamp, *map(str, bar), timestamp + HOUR_MS - 1, "0", 1, "0", "0", "0"]
            for timestamp, bar in found[: int(query["limit"])]
        ]

    def _binance_funding(self, asked: Asked) -> Any:
        query = asked.query
        market = self._market("binance", query["symbol"], perpetual=True)
        found = self._settled(market, int(query["startTime"]), int(query["endTime"]))
        return [
            {"symbol": query["symbol"], "fundingRate": f"{rate:.8f}", "fundingTime": timestamp}
            for timestamp, rate in found[: int(query["limit"])]
        ]

    # Bybit gives the last rows up to the end, the latest first.

    def _bybit_info(self, asked: Asked) -> Any:
        category = asked.query["category"]
        listed = []
        for market in self._of("bybit"):
            if asked.query.get("status") == "PreLaunch" or (category == "spot") == bool(
                market.settle
            ):
                continue
            listed.append(
                {
                    "symbol": f"{market.base}{market.quote}",
                    "baseCoin": market.base,
                    "quoteCoin": market.quote,
                    "settleCoin": market.settle,
                    "contractType": "LinearPerpetual" if market.settle else "",
                    "status": "Trading",
                    "lotSizeFilter": {"qtyStep": "0.001", "basePrecision": "0.001"},
                    "priceFilter": {"tickSize": "0.0001"},
                    "fundingInterval": 480,
                }
            )
        return self._bybit(category, listed)

    def _bybit(self, category: str, listed: list[Any], **more: str) -> Any:
        result = {"category": category, "list": listed, **more}
        return {"retCode": 0, "retMsg": "OK", "result": result, "time": self.clock.ms}

    def _bybit_klines(self, asked: Asked) -> Any:
        query = asked.query
        perpetual = query.get("category") != "spot"
        market = self._market("bybit", query["symbol"], perpetual=perpetual)
        found = self._candles(market, int(query["start"]), int(query["end"]))
        rows = [[str(timestamp), *map(str, bar), "0"] for timestamp, bar in found[::-1]]
        listed = rows[: int(query["limit"])]
        return self._bybit(query.get("category", ""), listed, symbol=query["symbol"])

    def _bybit_funding(self, asked: Asked) -> Any:
        query = asked.query
        market = self._market("bybit", query["symbol"], perpetual=True)
        found = self._settled(market, int(query["startTime"]), int(query["endTime"]))
        rows = [
            {"symbol": query["symbol"], "fundingRate": str(r), "fundingRateTimestamp": str(s)}
            for s, r in found[::-1]
        ]
        return self._bybit("linear", rows[: min(200, int(query["limit"]))])

    # OKX gives what is newer than `before` and older than `after`, the latest first.

    def _okx_info(self, asked: Asked) -> Any:
        is_swap = asked.query["instType"] == "SWAP"
        listed = [
            {
                "instId": f"{m.base}-{m.quote}-SWAP" if is_swap else f"{m.base}-{m.quote}",
                "instType": asked.query["instType"],
                "uly": f"{m.base}-{m.quote}" if is_swap else "",
                "instFamily": f"{m.base}-{m.quote}" if is_swap else "",
                "baseCcy": "" if is_swap else m.base,
                "quoteCcy": "" if is_swap else m.quote,
                "settleCcy": m.settle,
                "ctVal": "1" if is_swap else "",
                "tickSz": "0.0001",
                "lotSz": "0.001",
                "minSz": "0.001",
                "state": "live",
            }
            for m in self._of("okx")
            if bool(m.settle) == is_swap
        ]
        return {"code": "0", "msg": "", "data": listed}

    def _okx_market(self, asked: Asked) -> Market:
        parts = asked.query["instId"].split("-")
        return self._market("okx", parts[0] + parts[1], perpetual=parts[-1] == "SWAP")

    def _okx_candles(self, asked: Asked) -> Any:
        since, until = int(asked.query["before"]) + 1, int(asked.query["after"]) - 1
        found = self._candles(self._okx_market(asked), since, until)
        rows = [
            [str(s), *map(str, bar[:4]), str(bar.volume), str(bar.volume), "0", "1"]
            for s, bar in found[::-1]
        ]
        return {"code": "0", "msg": "", "data": rows[: min(100, int(asked.query["limit"]))]}

    def _okx_funding(self, asked: Asked) -> Any:
        since, until = int(asked.query["before"]) + 1, int(asked.query.get("after", 1 << 60)) - 1
        found = self._settled(self._okx_market(asked), since, until)
        rows = [
            {
                "instId": asked.query["instId"],
                "fundingRate": str(rate),
                "realizedRate": str(rate),
                "fundingTime": str(timestamp),
            }
            for timestamp, rate in found[::-1]
        ]
        return {"code": "0", "msg": "", "data": rows[: min(100, int(asked.query["limit"]))]}

    # Hyperliquid settles every hour, some milliseconds late.

    def _hyperliquid(self, asked: Asked) -> Any:
        body = asked.body
        listed = self._of("hyperliquid")
        match body["type"]:
            case "metaAndAssetCtxs":
                universe = [{"name": m.base, "szDecimals": 2, "maxLeverage": 50} for m in listed]
                contexts = [{"markPx": "100.0", "midPx": "100.0", "funding": "0"} for _ in listed]
                return [{"universe": universe}, contexts]
            case "candleSnapshot":
                question = body["req"]
                market = self._market("hyperliquid", question["coin"], perpetual=True)
                found = self._candles(market, question["startTime"], question["endTime"])
                return [
                    {"t": s, "T": s + HOUR_MS - 1, "s": market.base, "i": "1h", "n": 1}
                    | dict(zip("ohlcv", map(str, bar), strict=True))
                    for s, bar in found
                ]
            case "fundingHistory":
                market = self._market("hyperliquid", body["coin"], perpetual=True)
                until = body.get("endTime", self.clock.ms)
                return [
                    {"coin": market.base, "fundingRate": str(r), "premium": "0", "time": s + 31}
                    for s, r in self._settled(market, body["startTime"] - 31, until - 31)
                ][:500]
        return NOT_FOUND.content
