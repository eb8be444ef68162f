"""What is signed for an approved order: its exchange, its wallet, and fields that can be sent."""

import dataclasses
from random import Random
from typing import Any

import pytest

from polybot.adapters.polymarket.contracts import (
    V1_NEGATIVE_RISK,
    V1_NORMAL,
    V2,
    ExchangeDomain,
    domain_of,
)
from polybot.adapters.polymarket.keccak import Address
from polybot.adapters.polymarket.order_fields import (
    ZERO_BYTES32,
    SignatureType,
    TradingAccount,
    fields_of,
    new_salt,
)
from polybot.domain.markets import MarketVersion, Outcome, OutcomeTokenId
from polybot.domain.orders import TimeInForce
from polybot.errors import DataError
from tests.builders import build_market, build_order
from tests.order_cases import TEST_ADDRESS, random_address
from tests.signing_steps import V1_TOKEN, V2_TOKEN, build_fields

# Which exchange ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "is_negative_risk", "token", "domain"),
    [
        (MarketVersion.V1, False, V1_TOKEN, V1_NORMAL),
        (MarketVersion.V1, True, V1_TOKEN, V1_NEGATIVE_RISK),
        (MarketVersion.V2, False, V2_TOKEN, V2),
        (MarketVersion.V2, True, V2_TOKEN, V2),
    ],
)
def test_market_version_chooses_the_exchange(
    version: MarketVersion, is_negative_risk: bool, token: str, domain: ExchangeDomain
) -> None:
    """Negative risk matters on v1 markets alone."""
    market = build_market(version=version, is_negative_risk=is_negative_risk)
    assert domain_of(market, OutcomeTokenId(token)) is domain


@pytest.mark.parametrize(
    ("version", "token"), [(MarketVersion.V1, V2_TOKEN), (MarketVersion.V2, V1_TOKEN)]
)
def test_token_of_the_other_version_is_refused(version: MarketVersion, token: str) -> None:
    """Signing for the wrong exchange would give the order an id that never exists."""
    with pytest.raises(DataError) as caught:
        domain_of(build_market(version=version), OutcomeTokenId(token))
    assert caught.value.reason == "token-version-mismatch"


# From an approved order -------------------------------------------------------------------------


def test_deposit_wallet_is_maker_and_signer() -> None:
    """Every other kind of wallet has the key's address as its signer."""
    wallet = random_address(Random(1))
    for kind in SignatureType:
        funder = TEST_ADDRESS if kind is SignatureType.EOA else wallet
        account = TradingAccount(key_address=TEST_ADDRESS, funder=funder, signature_type=kind)
        fields = fields_of(build_v1_order(), account, salt=1, timestamp_ms=1_795_348_800_000)
        is_deposit = kind is SignatureType.DEPOSIT_WALLET
        assert fields.maker == funder
        assert fields.signer == (wallet if is_deposit else TEST_ADDRESS)


@pytest.mark.parametrize(
    ("funder", "kind", "is_session_key"),
    [
        (TEST_ADDRESS, SignatureType.PROXY, False),
        (TEST_ADDRESS, SignatureType.DEPOSIT_WALLET, False),
        (random_address(Random(1)), SignatureType.EOA, False),
        (random_address(Random(1)), SignatureType.SAFE, True),
    ],
)
def test_accounts_that_the_venue_refuses_are_refused(
    funder: Address, kind: SignatureType, is_session_key: bool
) -> None:
    """The most frequent fault of public bots: wallet and signature type do not belong together."""
    with pytest.raises(ValueError, match=r"signature type 0|session keys"):
        TradingAccount(
            key_address=TEST_ADDRESS,
            funder=funder,
            signature_type=kind,
            is_session_key=is_session_key,
        )


def test_gtd_carries_its_own_expiry() -> None:
    """Rests no longer than the domain's order says."""
    order = build_v1_order(time_in_force=TimeInForce.GTD, is_post_only=True)
    account = build_account()
    fields = fields_of(order, account, salt=1, timestamp_ms=1_795_348_800_000)
    assert order.expires_at is not None
    assert fields.expires_s == int(order.expires_at.timestamp())
    assert fields.is_post_only


def test_market_order_cannot_be_post_only() -> None:
    """It would be a contradiction that the venue answers late."""
    with pytest.raises(ValueError, match="only resting orders are post-only"):
        build_v1_order(is_post_only=True)
    fields = fields_of(build_v1_order(), build_account(), salt=1, timestamp_ms=1_795_348_800_000)
    with pytest.raises(ValueError, match="only resting orders are post-only"):
        dataclasses.replace(fields, is_post_only=True)


@pytest.mark.parametrize(
    "change",
    [
        {"salt": 0},
        {"salt": 1 << 53},
        {"timestamp_ms": 1_795_348_800},
        {"timestamp_ms": 1_795_348_800_000_000},
        {"token_id": "0"},
        {"token_id": "-1"},
        {"token_id": "0x10"},
        {"token_id": str(1 << 256)},
        {"token_id": "１２"},
        {"metadata": "0x00"},
        {"builder": "0x" + "G" * 64},
        {"builder": ZERO_BYTES32 + "\n"},
        {"maker": "0x12"},
        {"signer": TEST_ADDRESS + "0"},
        {"expires_s": 1},
        {"time_in_force": TimeInForce.GTD},
    ],
)
def test_fields_that_cannot_be_sent_are_refused(change: dict[str, Any]) -> None:
    """Texts go into the request unescaped, so none but plain ones may pass."""
    with pytest.raises(ValueError, match=r".+"):
        build_fields(**change)


def test_salts_are_in_range_and_differ() -> None:
    """A salt is never 0 and fits a double."""
    salts = {new_salt() for _ in range(2_000)}
    assert len(salts) == 2_000
    assert all(0 < salt < 1 << 53 for salt in salts)


# Builders ---------------------------------------------------------------------------------------


def build_account() -> TradingAccount:
    return TradingAccount(
        key_address=TEST_ADDRESS, funder=TEST_ADDRESS, signature_type=SignatureType.EOA
    )


def build_v1_order(**changes: Any) -> Any:
    tokens = {
        Outcome.UP: OutcomeTokenId(V1_TOKEN),
        Outcome.DOWN: OutcomeTokenId("1" + V1_TOKEN[1:]),
    }
    return build_order(market=build_market(version=MarketVersion.V1, token_ids=tokens), **changes)
