"""Rows and documents of an EVM chain: Aave reserves, contract rates, gas, e-mode parameters.

The row of time T is the state after the last block at or before T, and thus known at T.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, NamedTuple

from basis_pipeline.config.source import (
    AaveReserve,
    ContractRate,
    EMode,
    EthereumRpc,
    Gas,
)
from basis_pipeline.errors import FetchError
from basis_pipeline.market.fetch.chain import Block, Call, Chain
from basis_pipeline.market.fetch.rows import Rows

RAY = 10**27
GWEI = 10**9
USD_UNIT = 10**8  # of Aave's oracle on pools whose base currency is USD
FEE_HISTORY_BLOCKS = 1024
HOUR = timedelta(hours=1)
# getReserveData of an Aave v3 pool: the first fields of its struct are the same in every release.
RESERVE = (
    *("uint256", "uint128", "uint128", "uint128", "uint128", "uint128", "uint40", "uint16"),
    *("address", "address", "address"),
)
_AAVE = (
    *("liquidity_index", "variable_borrow_index", "liquidity_rate", "variable_borrow_rate"),
    *("total_a_token", "total_variable_debt", "price_usd"),
)
_COLUMNS: dict[str, tuple[str, ...]] = {
    "aave_reserve": _AAVE,
    "rate": ("oracle_rate",),
    "gas": ("base_fee_gwei", "priority_fee_p50_gwei"),
    "e_mode": (),
}


class Reserve(NamedTuple):
    """The fields of getReserveData that are used."""

    liquidity_rate: int
    variable_borrow_rate: int
    a_token: str
    debt_token: str


class ChainSeries:
    """One row per step, each from the last block at that time."""

    def __init__(self, source: EthereumRpc, chain: Chain, step: timedelta) -> None:
        self.read, self.chain, self.step = source.read, chain, step
        self.publisher = f"chain {source.chain_id} {source.read.what}"
        self.final: Block | None = None
        self.columns = frozenset(_COLUMNS[source.read.what])

    def latest(self, now: datetime) -> datetime:
        """Return the time of the last final block, at most now."""
        self.final = self.chain.final_block()
        return min(now, datetime.fromtimestamp(self.final.time, UTC))

    def pages(self, start: int, end: int) -> Iterator[Rows]:
        """Yield rows one by one: each costs several requests, so that none is lost on failure."""
        assert self.final is not None  # `latest` is called first
        length = self.step // timedelta(milliseconds=1)
        for timestamp in range(-(-start // length) * length, end, length):
            block = self.chain.block_at(timestamp // 1000, self.final)
            yield {timestamp: self._row(block, timestamp // 1000)}

    def _row(self, block: Block, time: int) -> dict[str, float]:
        match self.read:
            case AaveReserve():
                return self._reserve(self.read, block.number)
            case ContractRate():
                return {"oracle_rate": self._rate(self.read, block.number)}
            case Gas():
                return self._gas(self.read, block, time)
            case EMode():
                raise TypeError("e-mode parameters are a document")

    def _rate(self, read: ContractRate, block: int) -> float:
        call = Call(read.contract, read.function, ("uint256",), read.arguments)
        return float(self.chain.call([call], block)[0][0] / 10**read.decimals)

    def _reserve(self, read: AaveReserve, block: int) -> dict[str, float]:
        """Return indices, rates, totals and price; indices and totals with accrued interest."""
        pool, asset = read.pool, (read.asset,)
        answers = self.chain.call(
            [
                Call(pool, "getReserveData(address)", RESERVE, asset),
                Call(pool, "getReserveNormalizedIncome(address)", ("uint256",), asset),
                Call(pool, "getReserveNormalizedVariableDebt(address)", ("uint256",), asset),
                Call(read.oracle, "getAssetPrice(address)", ("uint256",), asset),
                Call(read.asset, "decimals()", ("uint8",)),
            ],
            block,
        )
        reserve = _reserve(answers[0])
        if not answers[1][0]:
            raise FetchError(
                "FETCH-003", f"the pool has no reserve {read.asset}", where=f"block {block}"
            )
        supply = ("uint256",)
        totals = self.chain.call(
            [
                Call(reserve.a_token, "totalSupply()", supply),
                Call(reserve.debt_token, "totalSupply()", supply),
            ],
            block,
        )
        unit = 10 ** int(answers[4][0])
        values = (
            answers[1][0] / RAY,
            answers[2][0] / RAY,
            reserve.liquidity_rate / RAY,
            reserve.variable_borrow_rate / RAY,
            totals[0][0] / unit,
            totals[1][0] / unit,
            answers[3][0] / USD_UNIT,
        )
        return dict(zip(_AAVE, values, strict=True))

    def _gas(self, read: Gas, block: Block, time: int) -> dict[str, float]:
        """Return the base fee of the last block and the median priority fee of the hour."""
        assert self.final is not None
        before = self.chain.block_at(time - int(HOUR.total_seconds()), self.final)
        count = min(max(block.number - before.number, 1), FEE_HISTORY_BLOCKS)
        history = self.chain.fee_history(count, block.number, read.percentile)
        try:
            base = int(history["baseFeePerGas"][count - 1], 16)
            rewards = [int(reward[0], 16) for reward in history["reward"]]
            used = [r for r, share in zip(rewards, history["gasUsedRatio"], strict=True) if share]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            what = f"the fee history cannot be read: {type(error).__name__} {error}"
            raise FetchError("FETCH-004", what, where=f"block {block.number}") from None
        # Blocks without transactions report a priority fee of zero that nobody paid.
        tip = median(used) if used else 0
        return {"base_fee_gwei": base / GWEI, "priority_fee_p50_gwei": tip / GWEI}


def _reserve(answer: tuple[Any, ...]) -> Reserve:
    return Reserve(answer[2], answer[4], answer[8], answer[10])


def e_mode_document(read: EMode, chain: Chain) -> dict[str, Any]:
    """Return limits, thresholds and bonuses at the latest final block, in e-mode and outside."""
    block = chain.final_block().number
    document: dict[str, Any] = {
        part: {"ltv_limits": {}, "liquidation_thresholds": {}, "liquidation_bonus": {}}
        for part in ("emode", "standard")
    }
    for name, of in read.pairs.items():
        category = Call(
            read.pool,
            "getEModeCategoryData(uint8)",
            ("(uint16,uint16,uint16,address,string)",),
            (of.category,),
        )
        reserve = Call(read.pool, "getConfiguration(address)", ("uint256",), (of.collateral,))
        (emode,), (bits,) = chain.call([category, reserve], block)
        # The bitmap of a reserve: 16 bits each for limit, threshold and bonus.
        standard = tuple(bits >> shift & 0xFFFF for shift in (0, 16, 32))
        for part, (limit, threshold, bonus) in (("emode", emode[:3]), ("standard", standard)):
            document[part]["ltv_limits"][name] = limit / 10_000
            document[part]["liquidation_thresholds"][name] = threshold / 10_000
            # 10100 is a bonus of 1 %.
            document[part]["liquidation_bonus"][name] = max(0, bonus - 10_000) / 10_000
    return document
