"""An EVM chain through one JSON-RPC endpoint: blocks by time, and contracts at past blocks."""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import ccxt
from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

from basis_pipeline.errors import FetchError
from basis_pipeline.market.fetch.attempts import Unavailable
from basis_pipeline.market.fetch.http import Web

HALVE_EVERY = 4
RATE_LIMITED = (-32005, -32029, 429)
# What nodes say that do not keep old states, in their own words.
_NO_HISTORY = (
    "missing trie node",
    "header not found",
    "pruned",
    "archive",
    "state is not available",
)


class Block(NamedTuple):
    """A block, and when it was made, in seconds since the epoch."""

    number: int
    time: int


@dataclass(frozen=True, slots=True)
class Call:
    """A question to a contract.

    function: its signature, as `getAssetPrice(address)`. returns: ABI types of the answer; of a
    long one only the first are decoded where all are of fixed size.
    """

    contract: str
    function: str
    returns: tuple[str, ...]
    arguments: tuple[Any, ...] = ()

    @property
    def data(self) -> str:
        """What is sent: selector and encoded arguments."""
        # eth-abi hashes nothing; ccxt has the hash for exchanges that are signed like a chain.
        selector = ccxt.Exchange.hash(self.function.encode(), "keccak", "hex")[:8]
        types = [name for name in self.function.partition("(")[2].rstrip(")").split(",") if name]
        return f"0x{selector}{encode(types, self.arguments).hex()}"


class Chain:
    """One endpoint, whose chain is the expected one.

    Raises
    ------
    FetchError: FETCH-005 from the first question on when it is another chain.
    """

    def __init__(self, web: Web, chain_id: int) -> None:
        self.web, self.chain_id = web, chain_id
        self.known: list[Block] = []  # in their order
        self.is_checked = False

    def final_block(self) -> Block:
        """The latest block that cannot be replaced any more."""
        return self._block("finalized")

    def block_at(self, time: int, final: Block) -> Block:
        """The last block that was made at or before a time.

        Parameters
        ----------
        time: seconds since the epoch, not after `final`.
        """
        if not self.known:
            self._block(1)
        at = bisect_right(self.known, time, key=lambda block: block.time)
        low = self.known[at - 1]
        high = self.known[at] if at < len(self.known) else Block(final.number + 1, final.time + 1)
        asked = 0
        while high.number - low.number > 1:
            # Blocks come at nearly even steps; a halving now and then bounds the search anyway.
            asked += 1
            share = 0.5 if asked % HALVE_EVERY == 0 else (time - low.time) / (high.time - low.time)
            guess = low.number + int(share * (high.number - low.number))
            block = self._block(min(max(guess, low.number + 1), high.number - 1))
            low, high = (block, high) if block.time <= time else (low, block)
        return low

    def call(self, calls: Sequence[Call], block: int) -> list[tuple[Any, ...]]:
        """What contracts answer at a block, in one question.

        Raises
        ------
        FetchError: FETCH-003 where there is no such contract or function at that block, 004 what
            the node answers cannot be decoded.
        """
        at = hex(block)
        params = [[{"to": call.contract, "data": call.data}, at] for call in calls]
        results = self.ask("eth_call", params, f"{calls[0].function} at block {block}")
        return [_decoded(call, result, block) for call, result in zip(calls, results, strict=True)]

    def fee_history(self, count: int, newest: int, percentile: float) -> dict[str, Any]:
        """Base fees and the percentile of priority fees of the blocks up to one."""
        params = [[hex(count), hex(newest), [percentile]]]
        return dict(self.ask("eth_feeHistory", params, f"fees up to block {newest}")[0])

    def ask(self, method: str, params: Sequence[Any], what: str) -> list[Any]:
        """Ask one method with several sets of parameters, in one batch; results in their order."""
        if not self.is_checked and method != "eth_chainId":
            self._require_chain()
        batch = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": given}
            for number, given in enumerate(params)
        ]
        question = batch if len(batch) > 1 else batch[0]
        return self.web.host.ask(lambda: self._results(question, len(batch), what), what)

    def _results(self, question: Any, count: int, what: str) -> list[Any]:
        body = self.web.body("POST", "", question) or b""
        try:
            answer = json.loads(body)
            answers = answer if isinstance(answer, list) else [answer]
            for one in answers:
                if one.get("error"):
                    self._fail(one["error"], what)
            by_id = {one["id"]: one["result"] for one in answers}
            return [by_id[number] for number in range(count)]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"the answer is not JSON-RPC ({type(error).__name__})"
            raise Unavailable(reason, damaged=True) from None

    def _fail(self, error: Any, what: str) -> None:
        text = str(error.get("message", error))[:200]
        if error.get("code") in RATE_LIMITED or "rate limit" in text.lower():
            raise Unavailable(f"the rate limit is reached: {text}")
        message = f"{self.web.host.name}: {text}"
        if any(words in text.lower() for words in _NO_HISTORY):
            action = "name the endpoint of an archive node: this one does not keep old states"
            raise FetchError("FETCH-003", message, where=what, action=action)
        raise FetchError("FETCH-003", message, where=what)

    def _require_chain(self) -> None:
        own = int(self.ask("eth_chainId", [[]], "the chain")[0], 16)
        if own != self.chain_id:
            what = f"{self.web.host.name} is of chain {own}, not of {self.chain_id}"
            raise FetchError("FETCH-005", what, where="source.chain_id")
        self.is_checked = True

    def _block(self, number: int | str) -> Block:
        at = hex(number) if isinstance(number, int) else number
        found = self.ask("eth_getBlockByNumber", [[at, False]], f"block {number}")[0]
        if found is None:
            raise FetchError("FETCH-003", f"{self.web.host.name} has no block {number}", where=at)
        block = Block(int(found["number"], 16), int(found["timestamp"], 16))
        place = bisect_left(self.known, block)
        if self.known[place : place + 1] != [block] and isinstance(number, int):
            self.known.insert(place, block)
        return block


def _decoded(call: Call, result: str, block: int) -> tuple[Any, ...]:
    where = f"{call.contract} at block {block}"
    data = bytes.fromhex(result.removeprefix("0x"))
    if not data:
        what = f"the contract answers nothing to {call.function}: it is not there, or has none"
        raise FetchError("FETCH-003", what, where=where)
    try:
        return decode(call.returns, data, strict=False)
    except DecodingError as error:
        what = f"the answer to {call.function} cannot be decoded: {error}"
        raise FetchError("FETCH-004", what, where=where) from None
