"""Where the files of a feed are fetched from: the key `source:` of a dataset file."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from basis_pipeline.config.base import Count, StrictModel

Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+")]


class BinanceArchive(StrictModel):
    """Zip archives of data.binance.vision, kept as downloaded; a preset reads their format.

    Parameters
    ----------
    market: `spot`, `um` (margined in USDT or USDC) or `cm` (margined in the coin).
    data: the archive's folder. interval: of bars; none for `fundingRate`.
    """

    kind: Literal["binance_archive"]
    url: Url
    market: Literal["spot", "um", "cm"]
    data: Literal["klines", "fundingRate", "markPriceKlines", "indexPriceKlines"]
    symbol: Annotated[str, Field(pattern=r"^[A-Z0-9_]+$")]
    interval: str | None = None
    since: date

    @model_validator(mode="after")
    def _bars_have_an_interval(self) -> Self:
        if (self.interval is None) != (self.data == "fundingRate"):
            raise ValueError("interval is given for bars, and for nothing else")
        return self


class Ccxt(StrictModel):
    """Rows of an exchange, through ccxt.

    Parameters
    ----------
    exchange, symbol, timeframe: as ccxt spells them: `binanceusdm`, `SOL/USDT:USDT`, `1h`.
    data: traded prices, mark prices, or settled funding rates.
    url: replaces scheme and host of every address of the exchange: a mirror, a proxy.
    """

    kind: Literal["ccxt"]
    exchange: str
    symbol: str
    data: Literal["bars", "mark_bars", "funding"]
    timeframe: str = "1h"
    since: date
    url: Url | None = None


class AaveReserve(StrictModel):
    """Indices, rates, totals and oracle price of one reserve of an Aave v3 pool."""

    what: Literal["aave_reserve"]
    pool: Address
    oracle: Address
    asset: Address


class ContractRate(StrictModel):
    """The number that a contract's function returns, such as the redemption rate of an LST.

    function: with its argument types, as `getRate()`. decimals: of the number.
    """

    what: Literal["rate"]
    contract: Address
    function: Annotated[str, Field(pattern=r"^\w+\([\w,]*\)$")]
    arguments: tuple[int, ...] = ()
    decimals: Annotated[int, Field(ge=0, le=77)] = 18


class Gas(StrictModel):
    """Base fee, and the percentile of the priority fees, by `eth_feeHistory`."""

    what: Literal["gas"]
    percentile: Annotated[float, Field(ge=0.0, le=100.0)] = 50.0


class CollateralOf(StrictModel):
    """A collateral, and the e-mode category in which it secures the loan."""

    category: Annotated[int, Field(ge=1, le=255)]
    collateral: Address


class EMode(StrictModel):
    """Loan-to-value limits, thresholds and bonuses of an Aave v3 pool, as one JSON document.

    pairs: name in the document (`weETH_WETH`) → collateral and category.
    """

    what: Literal["e_mode"]
    pool: Address
    pairs: Annotated[dict[str, CollateralOf], Field(min_length=1)]


class EthereumRpc(StrictModel):
    """State of an EVM chain at past hours, from an archive node.

    Parameters
    ----------
    url_variable: the environment variable with the endpoint, whose URL usually contains a key.
    chain_id: the chain that the endpoint must report.
    """

    kind: Literal["ethereum_rpc"]
    url: Url | None = None
    url_variable: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = None
    chain_id: Count
    since: date
    read: Annotated[AaveReserve | ContractRate | Gas | EMode, Field(discriminator="what")]

    @model_validator(mode="after")
    def _has_one_endpoint(self) -> Self:
        if (self.url is None) == (self.url_variable is None):
            raise ValueError("the endpoint is either url, or in the variable url_variable names")
        return self


class DefiLlama(StrictModel):
    """Daily yields of one pool of DefiLlama; its APY becomes the APR that, paid daily, gives it."""

    kind: Literal["defillama"]
    url: Url
    pool: Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$")]
    column: Literal["apy", "apyBase", "apyReward"] = "apy"
    since: date


class CopiedFiles(StrictModel):
    """Files of another directory on this machine: a mount, a share, another downloader's output.

    path: absolute; may be a glob.
    """

    kind: Literal["file"]
    path: Annotated[str, Field(pattern=r"^[/~]")]


Source = Annotated[
    BinanceArchive | Ccxt | EthereumRpc | DefiLlama | CopiedFiles, Field(discriminator="kind")
]
