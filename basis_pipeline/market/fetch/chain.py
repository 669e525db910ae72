"""An EVM chain behind one JSON-RPC endpoint: blocks by time, contract calls at past blocks."""

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
from basis_pipeline.market.fetch.http import HttpClient

HALVE_EVERY = 4
RATE_LIMITED = (-32005, -32029, 429)
# Error messages of nodes that do not keep historical states.
_NO_HISTORY = (
    "missing trie node",
    "header not found",
    "pruned",
    "archive",
    "state is not available",
)


class Block(NamedTuple):
    """A block and its timestamp, in seconds since the epoch."""

    number: int
    time: int


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a contract function.

    function: its signature, such as `getAssetPrice(address)`. returns: ABI types of the answer; the
    last ones may be left out where all are of fixed size.
    """

    contract: str
    function: str
    returns: tuple[str, ...]
    arguments: tuple[Any, ...] = ()

    @property
    def data(self) -> str:
        """The call data: selector and encoded arguments."""
        # eth-abi has no Keccak hash; ccxt has one.
        selector = ccxt.Exchange.hash(self.function.encode(), "keccak", "hex")[:8]
        types = [name for name in self.function.partition("(")[2].rstrip(")").split(",") if name]
        return f"0x{selector}{encode(types, self.arguments).hex()}"


class Chain:
    """The chain behind one endpoint.

    Raises
    ------
    FetchError: FETCH-005 at the first request when the endpoint serves another chain.
    """

    def __init__(self, http: HttpClient, chain_id: int) -> None:
        self.http, self.chain_id = http, chain_id
        self.known: list[Block] = []  # in order of their numbers
        self.is_checked = False

    def final_block(self) -> Block:
        """Return the latest final block."""
        return self._block("finalized")

    def block_at(self, time: int, final: Block) -> Block:
        """Return the last block at or before a time.

        Parameters
        ----------
        time: seconds since the epoch, not after `final`.
        """
        if not self.known:
            self._block(1)
        at = bisect_right(self.known, time, key=lambda block: block.time)
        low = self.known[at - 1]
        high = self.known[at] if at < len(self.known) else Block(final.number + 1, final.time + 1)
        requests = 0
        while high.number - low.number > 1:
            # Blocks come at nearly even steps; a halving at every few steps bounds the search.
            requests += 1
            share = (
                0.5 if requests % HALVE_EVERY == 0 else (time - low.time) / (high.time - low.time)
            )
            guess = low.number + int(share * (high.number - low.number))
            block = self._block(min(max(guess, low.number + 1), high.number - 1))
            low, high = (block, high) if block.time <= time else (low, block)
        return low

    def call(self, calls: Sequence[Call], block: int) -> list[tuple[Any, ...]]:
        """Call contracts at a block in one request; return their decoded answers in order.

        Raises
        ------
        FetchError: FETCH-003 no such contract or function at that block, 004 the answer cannot be
            decoded.
        """
        at = hex(block)
        params = [[{"to": call.contract, "data": call.data}, at] for call in calls]
        results = self.request("eth_call", params, f"{calls[0].function} at block {block}")
        return [_decoded(call, result, block) for call, result in zip(calls, results, strict=True)]

    def fee_history(self, count: int, newest: int, percentile: float) -> dict[str, Any]:
        """Return base fees and a percentile of priority fees of `count` blocks up to `newest`."""
        params = [[hex(count), hex(newest), [percentile]]]
        return dict(self.request("eth_feeHistory", params, f"fees up to block {newest}")[0])

    def request(self, method: str, params: Sequence[Any], what: str) -> list[Any]:
        """Call a method with several sets of parameters in one batch; return results in order."""
        if not self.is_checked and method != "eth_chainId":
            self._require_chain()
        batch = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": one}
            for number, one in enumerate(params)
        ]
        document = batch if len(batch) > 1 else batch[0]
        return self.http.host.retry(lambda: self._results(document, len(batch), what), what)

    def _results(self, document: Any, count: int, what: str) -> list[Any]:
        body = self.http.body("POST", "", document) or b""
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
            raise Unavailable(f"the rate limit was reached: {text}")
        message = f"{self.http.host.name}: {text}"
        if any(words in text.lower() for words in _NO_HISTORY):
            action = "configure an archive node: this node does not keep historical states"
            raise FetchError("FETCH-003", message, where=what, action=action)
        raise FetchError("FETCH-003", message, where=what)

    def _require_chain(self) -> None:
        own = int(self.request("eth_chainId", [[]], "the chain")[0], 16)
        if own != self.chain_id:
            what = f"{self.http.host.name} serves chain {own}, not chain {self.chain_id}"
            raise FetchError("FETCH-005", what, where="source.chain_id")
        self.is_checked = True

    def _block(self, number: int | str) -> Block:
        at = hex(number) if isinstance(number, int) else number
        found = self.request("eth_getBlockByNumber", [[at, False]], f"block {number}")[0]
        if found is None:
            raise FetchError("FETCH-003", f"{self.http.host.name} has no block {number}", where=at)
        block = Block(int(found["number"], 16), int(found["timestamp"], 16))
        place = bisect_left(self.known, block)
        if self.known[place : place + 1] != [block] and isinstance(number, int):
            self.known.insert(place, block)
        return block


def _decoded(call: Call, result: str, block: int) -> tuple[Any, ...]:
    where = f"{call.contract} at block {block}"
    data = bytes.fromhex(result.removeprefix("0x"))
    if not data:
        what = f"{call.function} returned nothing: no such contract, or no such function"
        raise FetchError("FETCH-003", what, where=where)
    try:
        return decode(call.returns, data, strict=False)
    except DecodingError as error:
        what = f"the answer to {call.function} cannot be decoded: {error}"
        raise FetchError("FETCH-004", what, where=where) from None
