"""Every order is hashed, signed and written as both official clients do it.

``make test`` compares some hundred random orders, ``make chaos`` a thousand for each exchange, side
and signature type with each client; ``POLYBOT_TEST_ORDERS_PER_COMBINATION`` sets another number.
"""

import json
import os
from collections.abc import Iterator
from random import Random, SystemRandom
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from polymarket._internal.actions.orders.orders import create_signed_order
from polymarket._internal.actions.orders.post import build_post_order_request
from polymarket._internal.actions.orders.typed_data import (
    build_order_signature,
    build_order_typed_data,
)
from polymarket._internal.actions.orders.types import UnsignedOrder
from polymarket._internal.wallet import wrap_deposit_wallet_signature
from polymarket.types import EvmAddress, HexString
from py_clob_client_v2.order_utils import ExchangeOrderBuilderV2, SignatureTypeV2
from py_clob_client_v2.order_utils import Side as OlderSide
from py_clob_client_v2.order_utils.model.order_data_v2 import OrderDataV2, order_to_json_v2
from py_clob_client_v2.signer import Signer

from polybot.adapters.polymarket.contracts import V1_NORMAL, ExchangeDomain
from polybot.adapters.polymarket.order_fields import OrderFields, SignatureType
from polybot.adapters.polymarket.order_wire import build_order_body
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.domain.orders import Side, TimeInForce
from tests.chaos.forms import chosen_form
from tests.order_cases import TEST_ADDRESS, TEST_KEY, Secret, combinations, random_fields

USUAL = 40 if chosen_form().name == "short" else 1_000
PER_COMBINATION = int(os.environ.get("POLYBOT_TEST_ORDERS_PER_COMBINATION", USUAL))
OWNER = "00000000-0000-0000-0000-000000000001"


@pytest.mark.parametrize(("domain", "side", "kind"), combinations())
def test_orders_equal_the_unified_client(
    domain: ExchangeDomain, side: Side, kind: SignatureType
) -> None:
    """Signature and request bytes; the client does not show the hash, so its parts prove it."""
    for label, key, fields in random_orders(domain, side, kind):
        signed = OrderSigner(Secret(key)).sign(fields)
        body = unified_body(Account.from_key(key), fields)
        assert build_order_body(signed, owner=OWNER) == body, label


@pytest.mark.parametrize(("domain", "side", "kind"), combinations())
def test_orders_equal_the_older_client(
    domain: ExchangeDomain, side: Side, kind: SignatureType
) -> None:
    """Hash, signature and every field of the request."""
    for label, key, fields in random_orders(domain, side, kind):
        signed = OrderSigner(Secret(key)).sign(fields)
        order_id, request = older_order(key, fields)
        assert signed.order_id == order_id, label
        # The older client orders the keys differently and always says whether it is post-only.
        ours = json.loads(build_order_body(signed, owner=OWNER))
        assert {"postOnly": False, **ours} == request, label


def test_session_key_orders_equal_the_unified_client() -> None:
    """A deposit wallet takes the signature of a key that its owner lent, in a wrapping."""
    random = Random(23)
    signer, account = OrderSigner(Secret(TEST_KEY)), Account.from_key(TEST_KEY)
    for side in Side:
        for _ in range(50):
            fields = random_fields(random, V1_NORMAL, side, SignatureType.DEPOSIT_WALLET)
            plain = signer.sign(fields)
            lent = OrderFields.from_wire({**fields.to_wire(), "session_key": 1})
            signed = signer.sign(lent)
            assert signed.order_id == plain.order_id
            assert len(signed.signature) == 2 + 2 * 480
            assert signed.signature == wrap_deposit_wallet_signature(
                signer=account.address,
                signer_type="SESSION_KEY",
                signature=HexString(plain.signature),
            )


def random_orders(
    domain: ExchangeDomain, side: Side, kind: SignatureType
) -> Iterator[tuple[str, str, OrderFields]]:
    """Yield orders, each tenth of another random key, with what it takes to see one again."""
    seed = SystemRandom().getrandbits(32)
    random = Random(seed)
    key, address = TEST_KEY, TEST_ADDRESS
    for index in range(PER_COMBINATION):
        if index % 10 == 5:
            key = "0x" + random.randbytes(32).hex()
            address = OrderSigner(Secret(key)).address
        fields = random_fields(random, domain, side, kind, key_address=address)
        yield f"seed {seed}, order {index}: {fields}", key, fields


def unified_body(account: LocalAccount, fields: OrderFields) -> bytes:
    """Return what ``polymarket-client`` would send, from its own steps in its own order."""
    unsigned = UnsignedOrder(
        chain_id=fields.domain.chain_id,
        builder=HexString(fields.builder),
        exchange_address=EvmAddress(fields.domain.contract),
        expiration=fields.expires_s,
        maker=EvmAddress(fields.maker),
        maker_amount=fields.amounts.maker,
        metadata=HexString(fields.metadata),
        order_type=fields.time_in_force.value,
        salt=fields.salt,
        side=fields.side.value,
        signature_type=int(fields.signature_type),
        signer=EvmAddress(fields.signer),
        taker_amount=fields.amounts.taker,
        timestamp=fields.timestamp_ms,
        token_id=fields.token_id,
        protocol_version="3" if fields.domain.version == "3" else "2",
    )
    raw = account.sign_typed_data(full_message=build_order_typed_data(unsigned)).signature.hex()
    signature = build_order_signature(unsigned, HexString("0x" + raw.removeprefix("0x")))
    signed = create_signed_order(unsigned, signature, post_only=fields.is_post_only)
    _, payload = build_post_order_request(signed, owner_api_key=OWNER)
    # As httpx writes the json= argument.
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode()


def older_order(key: str, fields: OrderFields) -> tuple[str, dict[str, Any]]:
    """Return the hash and the request of ``py-clob-client-v2``."""
    builder = ExchangeOrderBuilderV2(
        fields.domain.contract,
        fields.domain.chain_id,
        Signer(key, fields.domain.chain_id),
        generate_salt=lambda: str(fields.salt),
        domain_version=fields.domain.version,
    )
    data = OrderDataV2(
        maker=fields.maker,
        tokenId=fields.token_id,
        makerAmount=str(fields.amounts.maker),
        takerAmount=str(fields.amounts.taker),
        side=OlderSide.BUY if fields.side is Side.BUY else OlderSide.SELL,
        signer=fields.signer,
        signatureType=SignatureTypeV2(int(fields.signature_type)),
        timestamp=str(fields.timestamp_ms),
        metadata=fields.metadata,
        builder=fields.builder,
        expiration=str(fields.expires_s),
    )
    signed = builder.build_signed_order(data)
    order_id = builder.build_order_hash(builder.build_order_typed_data(signed))
    order_type = TimeInForce(fields.time_in_force).value
    return order_id, order_to_json_v2(signed, OWNER, order_type, post_only=fields.is_post_only)
