"""Redeeming through the official client: gasless on the sandbox, or told what to do instead."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from pydantic import SecretStr

from polybot.adapters.polymarket.account import PolymarketAccount
from polybot.adapters.polymarket.keccak import Address
from polybot.adapters.polymarket.order_fields import SignatureType
from polybot.adapters.polymarket.sdk import RelayerKey, SdkHosts, SdkRedeemer, _Account
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.domain.markets import Market, MarketVersion, Outcome, OutcomeTokenId
from polybot.domain.money import Shares
from polybot.domain.venue_account import NothingToRedeem, RedeemByHand, Redeemed, RedemptionPending
from polybot.errors import PermanentError
from polybot.sandbox.exchange.rules import VenueRules
from polybot.sandbox.listing import GeneratedListing
from tests.builders import WINDOW, build_market
from tests.live_sandbox import WALLET, LiveSandbox, live_sandbox
from tests.order_cases import TEST_ADDRESS, TEST_KEY, Secret

RELAYER = RelayerKey(key=SecretStr("relayer-secret"), address=Address(TEST_ADDRESS))
SIGNER = OrderSigner(Secret(TEST_KEY))


def market_of(version: MarketVersion) -> tuple[Market, GeneratedListing]:
    """Return a market with ids as the sandbox makes them, and where it finds them again."""
    listing = GeneratedListing(7, v2_share=float(version is MarketVersion.V2))
    found = listing.by_slug(WINDOW.slug)
    assert found is not None
    market = build_market(
        condition_id=found.condition_id,
        version=version,
        token_ids={Outcome.UP: found.up_token_id, Outcome.DOWN: found.down_token_id},
    )
    return market, listing


def account_of(desk: LiveSandbox, *, relayer_key: RelayerKey | None = RELAYER) -> PolymarketAccount:
    url = desk.client._url
    redeemer = SdkRedeemer(
        desk.client,
        SIGNER,
        desk.account._account,
        SdkHosts(clob_url=url, gamma_url=url, data_url=url, relayer_url=url, rpc_url=url),
        relayer_key=relayer_key,
        wait_s=10,
    )
    return PolymarketAccount(desk.client, desk.account._account, redeemer=redeemer)


@asynccontextmanager
async def resolved(
    home: Path,
    version: MarketVersion = MarketVersion.V2,
    kind: SignatureType = SignatureType.DEPOSIT_WALLET,
) -> AsyncIterator[LiveSandbox]:
    """Open an account with 100 shares of Up in a market that is resolved."""
    market, listing = market_of(version)
    async with live_sandbox(home, VenueRules(), market=market, kind=kind) as desk:
        desk.venue.listing = listing
        desk.later(1_200)
        yield desk


def tokens(desk: LiveSandbox) -> list[OutcomeTokenId]:
    return list(desk.market.token_ids.values())


@pytest.mark.parametrize("version", list(MarketVersion))
@pytest.mark.parametrize("kind", [SignatureType.DEPOSIT_WALLET, SignatureType.SAFE])
async def test_shares_of_a_resolved_market_become_cash_once(
    tmp_path: Path, version: MarketVersion, kind: SignatureType
) -> None:
    """The second time there is nothing left, which is a success."""
    async with resolved(tmp_path, version, kind) as desk:
        account = account_of(desk)
        before = await account.cash_usdc()
        first = await account.redeem(desk.market.condition_id, tokens(desk))
        assert isinstance(first, Redeemed), first
        assert first.transaction_hash.startswith("0x")
        assert not any((await account.holdings(tokens(desk))).values())
        assert await account.cash_usdc() in (before, before + 100)
        second = await account.redeem(desk.market.condition_id, tokens(desk))
        assert isinstance(second, NothingToRedeem)


async def test_contract_wallet_without_a_relayer_key_is_told_what_to_do(tmp_path: Path) -> None:
    """Nothing is sent; the sentence names both ways."""
    async with resolved(tmp_path) as desk:
        account = account_of(desk, relayer_key=None)
        result = await account.redeem(desk.market.condition_id, tokens(desk))
        assert isinstance(result, RedeemByHand)
        assert "Portfolio" in result.instruction
        assert "live.relayer_key" in result.instruction
        assert any((await account.holdings(tokens(desk))).values())


async def test_relayer_that_is_gone_leaves_it_pending(tmp_path: Path) -> None:
    """Whether it arrived is not known: nobody may say that it failed."""
    async with resolved(tmp_path) as desk:
        hosts = SdkHosts(
            clob_url=desk.client._url,
            gamma_url=desk.client._url,
            data_url=desk.client._url,
            relayer_url="http://127.0.0.1:1",
        )
        redeemer = SdkRedeemer(
            desk.client, SIGNER, desk.account._account, hosts, relayer_key=RELAYER
        )
        result = await redeemer.redeem(desk.market.condition_id, await held(desk))
        assert isinstance(result, RedemptionPending)


async def test_account_without_a_redeemer_says_so(tmp_path: Path) -> None:
    """An account that is only read was opened without one."""
    async with resolved(tmp_path) as desk:
        with pytest.raises(PermanentError, match="without a way to redeem"):
            await desk.account.redeem(desk.market.condition_id, tokens(desk))


async def test_session_key_does_not_redeem(tmp_path: Path) -> None:
    """It trades, its owner redeems."""
    async with resolved(tmp_path) as desk:
        session = replace(desk.account._account, is_session_key=True)
        hosts = SdkHosts(clob_url="x", gamma_url="x", data_url="x", relayer_url="x")
        redeemer = SdkRedeemer(desk.client, SIGNER, session, hosts, relayer_key=RELAYER)
        result = await redeemer.redeem(desk.market.condition_id, await held(desk))
        assert isinstance(result, RedeemByHand)
        assert "session key" in result.instruction


async def held(desk: LiveSandbox) -> dict[OutcomeTokenId, Shares]:
    return await desk.account.holdings(tokens(desk))


def test_transactions_are_signed_as_by_the_key_itself() -> None:
    """Our signer in the client's clothes gives the bytes that the client's own account gives."""
    ours, theirs = _Account(SIGNER), Account.from_key(TEST_KEY)
    transaction = {
        "to": WALLET, "value": 0, "data": "0x1234", "gas": 90_000, "gasPrice": 30_000_000_000,
        "nonce": 7, "chainId": 137,
    }  # fmt: skip
    signed = ours.sign_transaction(dict(transaction))
    assert signed.raw_transaction == theirs.sign_transaction(dict(transaction)).raw_transaction
    message = encode_defunct(hexstr="0x" + "ab" * 32)
    assert ours.sign_message(message).signature == theirs.sign_message(message).signature
