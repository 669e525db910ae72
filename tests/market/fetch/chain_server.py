"""An archive node of an EVM chain with an Aave v3 pool: JSON-RPC that answers real ABI.

A block comes every twelve seconds, but for slots that were missed. State is a function of the
block's time, so that a test knows what any hour must be.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from eth_abi.abi import decode, encode

from tests.market.fetch.clock import MarketClock, ms
from tests.market.fetch.server import Answer, Asked, Server, serving

SLOT = 12
RAY = 10**27
YEAR = 365 * 86400
MISSED_EVERY = 50  # slots, one of which has no block
FINAL_AFTER = 64 * SLOT
POOL, ORACLE = f"0x{'a' * 40}", f"0x{'b' * 40}"
TOKEN, LST = f"0x{'c' * 40}", f"0x{'d' * 40}"
A_TOKEN, DEBT_TOKEN = f"0x{'e' * 40}", f"0x{'f' * 40}"
ZERO = f"0x{'0' * 40}"
SELECTORS = {
    "0x35ea6a75": "getReserveData",
    "0xd15e0053": "getReserveNormalizedIncome",
    "0x386497fd": "getReserveNormalizedVariableDebt",
    "0xb3596f07": "getAssetPrice",
    "0x313ce567": "decimals",
    "0x18160ddd": "totalSupply",
    "0x679aefce": "getRate",
    "0x6c6f6ae1": "getEModeCategoryData",
    "0xc44b11f7": "getConfiguration",
}


@dataclass
class Node:
    """The chain as a node knows it.

    genesis: when block 0 was made, in seconds. keeps: blocks whose state it has; all of them for an
    archive node. rates: by year, what the indices and the LST grow at.
    """

    clock: MarketClock
    genesis: int
    chain_id: int = 1
    keeps: int | None = None
    supply_rate: float = 0.03
    borrow_rate: float = 0.05
    lst_rate: float = 0.032
    revised: dict[int, float] = field(default_factory=dict)

    def time_of(self, number: int) -> int:
        """Return the time of a block: some slots have none."""
        slot = number + number // (MISSED_EVERY - 1)
        return self.genesis + slot * SLOT

    def block_at(self, time: int) -> int:
        """Return the last block at or before a time, by trying those near it."""
        number = (time - self.genesis) // SLOT
        while self.time_of(number) > time:
            number -= 1
        return number

    @property
    def final(self) -> int:
        """The latest block that is final."""
        return self.block_at(self.clock.ms // 1000 - FINAL_AFTER)

    def grown(self, rate: float, time: int) -> float:
        """Return what 1.0 has grown to since the genesis, without compounding."""
        return 1.0 + rate * (time - self.genesis) / YEAR

    def __call__(self, asked: Asked) -> Answer:
        """Answer one question, or a batch in the reverse order, as the protocol allows."""
        if isinstance(asked.body, list):
            return Answer([self._result(one) for one in reversed(asked.body)])
        return Answer(self._result(asked.body))

    def _result(self, question: dict[str, Any]) -> dict[str, Any]:
        answered = {"jsonrpc": "2.0", "id": question["id"]}
        try:
            result = getattr(self, question["method"])(*question["params"])
        except LookupError as error:
            return answered | {"error": {"code": -32000, "message": str(error.args[0])}}
        return answered | {"result": result}

    def eth_chainId(self) -> str:  # noqa: N802
        """Return the chain's number."""
        return hex(self.chain_id)

    def eth_getBlockByNumber(self, at: str, _full: bool) -> Any:  # noqa: N802
        """Return a block, null for one that does not exist."""
        number = self.final if at == "finalized" else int(at, 16)
        if number > self.block_at(self.clock.ms // 1000):
            return None
        return {"number": hex(number), "timestamp": hex(self.time_of(number))}

    def eth_feeHistory(self, count: str, newest: str, percentiles: list[float]) -> Any:  # noqa: N802
        """Return fees of the blocks up to the newest; every tenth block is empty."""
        last = int(newest, 16)
        blocks = range(last - int(count, 16) + 1, last + 1)
        return {
            "oldestBlock": hex(blocks[0]),
            "baseFeePerGas": [hex(self.base_fee(number)) for number in [*blocks, last + 1]],
            "gasUsedRatio": [0.0 if number % 10 == 0 else 0.5 for number in blocks],
            "reward": [
                [hex(0 if number % 10 == 0 else int(percentiles[0] * 10**7)) for _ in percentiles]
                for number in blocks
            ],
        }

    def base_fee(self, number: int) -> int:
        """Return wei per gas: ten gwei, and one more for each hour of the day."""
        return (10 + self.time_of(number) % 86400 // 3600) * 10**9

    def eth_call(self, call: dict[str, str], at: str) -> str:
        """Return what a contract answers at a block."""
        number = int(at, 16)
        if self.keeps is not None and number < self.final - self.keeps:
            raise LookupError(f"missing trie node for block {number}")
        function = SELECTORS.get(call["data"][:10], "")
        answers: dict[str, Callable[[str, int], bytes]] = {
            POOL: self._pool,
            ORACLE: lambda _, __: encode(["uint256"], [10**8]),
            TOKEN: lambda _, __: encode(["uint8"], [6]),
            LST: lambda _, time: encode(["uint256"], [self._rate(time)]),
            A_TOKEN: lambda _, time: encode(["uint256"], [int(5e12 * self.grown(0.03, time))]),
            DEBT_TOKEN: lambda _, time: encode(["uint256"], [int(3e12 * self.grown(0.05, time))]),
        }
        if call["to"] not in answers or not function:
            return "0x"
        if function == "getEModeCategoryData":
            (category,) = decode(["uint8"], bytes.fromhex(call["data"][10:]))
            label = (9300, 9500, 10100, ZERO, "ETH correlated")
            kinds = ["(uint16,uint16,uint16,address,string)"]
            return f"0x{encode(kinds, [label if category == 1 else (0, 0, 0, ZERO, '')]).hex()}"
        return f"0x{answers[call['to']](function, self.time_of(number)).hex()}"

    def _rate(self, time: int) -> int:
        return int(self.revised.get(time, self.grown(self.lst_rate, time)) * 10**18)

    def _pool(self, function: str, time: int) -> bytes:
        match function:
            case "getReserveNormalizedIncome":
                return encode(["uint256"], [int(self.grown(self.supply_rate, time) * RAY)])
            case "getReserveNormalizedVariableDebt":
                return encode(["uint256"], [int(self.grown(self.borrow_rate, time) * RAY)])
            case "getConfiguration":
                return encode(["uint256"], [7750 | 8000 << 16 | 10750 << 32])
        # A real pool's struct goes on behind what is read of it.
        kinds = [
            "uint256",
            *["uint128"] * 5,
            "uint40",
            "uint16",
            *["address"] * 4,
            *["uint128"] * 3,
        ]
        rates = [int(rate * RAY) for rate in (self.supply_rate, self.borrow_rate)]
        values = [0, RAY, rates[0], RAY, rates[1], 0, time - 40, 3, A_TOKEN, ZERO, DEBT_TOKEN, ZERO]
        return encode(kinds, [*values, 0, 0, 0])


@contextmanager
def archive_node(clock: MarketClock, genesis: str, **known: Any) -> Iterator[tuple[Server, Node]]:
    """Run a node until the end of the block."""
    node = Node(clock, ms(genesis) // 1000, **known)
    with serving(node) as server:
        yield server, node
