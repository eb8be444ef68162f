"""A JSON-RPC node, as far as redeeming asks one: how many outcome tokens a wallet holds.

Source: eips.ethereum.org/EIPS/eip-1155 (2026-11-22) for the two calls.
"""

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.exchange.rules import CHAIN_ID
from polybot.sandbox.wire import json_answer

_BALANCE_OF: Final = "00fdd58e"
_BALANCE_OF_BATCH: Final = "4e1273f4"
_WORD: Final = 64


class _RpcRequest(msgspec.Struct):
    method: str
    id: int | str | None = None
    params: list[Any] = []


class ChainRoutes:
    """Handlers over one exchange's accounts."""

    def __init__(self, exchange: MatchingExchange) -> None:
        """Take the exchange whose accounts are looked at."""
        self._exchange = exchange

    def routes(self) -> list[Route]:
        """Return the node's one route."""
        return [Route("/", self.call, methods=["POST"])]

    async def call(self, request: Request) -> Response:
        """Answer one JSON-RPC call; what the node does not know reverts."""
        try:
            wanted = msgspec.json.decode(await request.body(), type=_RpcRequest)
        except msgspec.DecodeError as error:
            return json_answer({"error": str(error)}, 400)
        result = self._result(wanted)
        head = {"jsonrpc": "2.0", "id": wanted.id}
        if result is None:
            error_body = {"code": 3, "message": "execution reverted", "data": "0x"}
            return json_answer(head | {"error": error_body})
        return json_answer(head | {"result": result})

    def _result(self, wanted: _RpcRequest) -> object | None:
        now_s = self._exchange.venue.now_s()
        constants: dict[str, object] = {
            "eth_chainId": hex(CHAIN_ID),
            "eth_blockNumber": hex(now_s // 2),
            "eth_getBlockByNumber": {"number": hex(now_s // 2), "timestamp": hex(now_s)},
            "eth_estimateGas": hex(200_000),
        }
        if wanted.method in constants:
            return constants[wanted.method]
        call = wanted.params[0] if wanted.params else None
        data = call.get("data") or call.get("input") if isinstance(call, dict) else None
        if wanted.method != "eth_call" or not isinstance(data, str):
            return None
        self._exchange.advance()
        selector, words = data[2:10], _words(data[10:])
        if selector == _BALANCE_OF and len(words) == 2:
            return "0x" + _word(self._balance(*words))
        if selector == _BALANCE_OF_BATCH and len(words) >= 4:
            # Two offsets, then each array's length and items.
            count = words[2]
            owners, tokens = words[3 : 3 + count], words[4 + count : 4 + 2 * count]
            found = [self._balance(*pair) for pair in zip(owners, tokens, strict=False)]
            return "0x" + "".join(_word(one) for one in (32, len(found), *found))
        return None

    def _balance(self, owner: int, token: int) -> int:
        account = self._exchange.accounts.of_funder(f"0x{owner:040x}")
        return 0 if account is None else account.tokens[str(token)]


def _words(data: str) -> list[int]:
    try:
        return [int(data[at : at + _WORD], 16) for at in range(0, len(data), _WORD)]
    except ValueError:
        return []


def _word(value: int) -> str:
    return f"{value:064x}"
