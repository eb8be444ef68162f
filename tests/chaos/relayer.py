"""Redeeming in the kill matrix: by the official client and the sandbox's relayer.

The client has an HTTP library of its own; every write and every read of it is a moment inside of
the call. A wallet that is its own key would send a transaction to the chain, which the sandbox
does not take: it redeems by the sandbox's short cut, and nobody is killed there.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import httpcore._backends.anyio as network
import httpx._transports.default as transports
from pydantic import SecretStr

from polybot.adapters.polymarket.clob_client import ClobClient
from polybot.adapters.polymarket.order_fields import SignatureType, TradingAccount
from polybot.adapters.polymarket.sdk import RelayerKey, SdkHosts, SdkRedeemer
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.adapters.web import WebClient
from polybot.domain.markets import ConditionId, OutcomeTokenId
from polybot.domain.money import Shares
from polybot.domain.venue_account import Redeemed, RedemptionResult
from tests.chaos.crash_points import Probe, Watched

_STEPS = {"redeem": "relayer"}


def load_client() -> None:
    """Import the official client, and let all its connections share what TLS would need."""
    import polymarket  # noqa: F401 - seconds, once for every process to be forked

    patched: Any = transports
    patched.create_ssl_context = cache(patched.create_ssl_context)


def open_redeemer(
    client: ClobClient, signer: OrderSigner, trading: TradingAccount, url: str, probe: Probe
) -> Any:
    """Return a redeemer whose every call and every byte the probe sees."""
    if trading.signature_type is SignatureType.EOA:
        return ShortCut(url, trading.funder)
    _watch_network(probe)
    hosts = SdkHosts(clob_url=url, gamma_url=url, data_url=url, relayer_url=url, rpc_url=url)
    key = RelayerKey(key=SecretStr("relayer-key"), address=signer.address)
    redeemer = SdkRedeemer(client, signer, trading, hosts, relayer_key=key, wait_s=5)
    return Watched(redeemer, probe, _STEPS)


def _watch_network(probe: Probe) -> None:
    stream: Any = network.AnyIOStream
    write, read = stream.write, stream.read

    async def watched_write(own: Any, buffer: bytes, timeout: Any = None) -> None:  # noqa: ASYNC109
        await write(own, buffer, timeout)
        probe.reach("inside")

    async def watched_read(own: Any, max_bytes: int, timeout: Any = None) -> bytes:  # noqa: ASYNC109
        data: bytes = await read(own, max_bytes, timeout)
        probe.reach("inside")
        return data

    stream.write, stream.read = watched_write, watched_read


class ShortCut:
    """Redeems by the sandbox's own route."""

    def __init__(self, url: str, funder: str) -> None:
        self._url = url
        self._funder = funder

    async def redeem(
        self, condition_id: ConditionId, held: Mapping[OutcomeTokenId, Shares]
    ) -> RedemptionResult:
        async with WebClient(timeout_s=5) as web:
            body = {"funder": self._funder, "condition_id": condition_id}
            await web.post(f"{self._url}/sandbox/redeem", body)
        return Redeemed(transaction_hash="0xredeemed")
