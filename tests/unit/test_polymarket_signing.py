"""Hashes and signatures of the published vectors, and byte-identical rebuilding."""

import json
from random import Random

import coincurve
import pytest

from polybot.adapters.polymarket import contracts
from polybot.adapters.polymarket.amounts import OrderAmounts
from polybot.adapters.polymarket.contracts import (
    KNOWN_DOMAINS,
    V1_NEGATIVE_RISK,
    V1_NORMAL,
    V2,
    ExchangeDomain,
    exchange_domain,
    separator_of,
)
from polybot.adapters.polymarket.keccak import (
    Address,
    address_of,
    checksum_address,
    keccak256,
    parse_address,
)
from polybot.adapters.polymarket.order_fields import OrderFields, SignatureType
from polybot.adapters.polymarket.order_wire import build_order_body
from polybot.adapters.polymarket.signing import OrderSigner, order_id_of, struct_hash
from polybot.domain.orders import OrderId, Side, TimeInForce
from polybot.errors import PermanentError
from tests.order_cases import (
    TEST_ADDRESS,
    TEST_KEY,
    Secret,
    combinations,
    random_address,
    random_fields,
)
from tests.shared_data import require
from tests.signing_steps import ORDER_SIGNER, V1_TOKEN, V2_TOKEN, build_fields

# Account 0 of the public test mnemonic "test test … junk".
JUNK_KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"

# Vectors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "token", "side", "order_id", "signature"),
    [
        (
            V1_NORMAL,
            V1_TOKEN,
            Side.BUY,
            "0xe961d8949063b6be78539450d7ffd6b43adf9270b3e89991f70e625241155b48",
            "0x12a5dcd3ff612d92a22162a8b62a6f132c8593680089f52daa32354b7969cc7464d9e6d14670b1eecb"
            "b73d1b6c8347e19540f64451742efab990f9e181f786101b",
        ),
        (
            V1_NORMAL,
            V1_TOKEN,
            Side.SELL,
            "0x1ee21c4a87533c39aee2477d1482903a573890e685e72abaa2f65beb95a26cbe",
            "0xef190200f56454181f43be08ac32460866365a4ba33106ed6fd2d93ac163f814728563bc3a9af5af57"
            "760e7282aad687dcf2cfe87c41de27d4dea007d00a7ca51c",
        ),
        (
            V2,
            V2_TOKEN,
            Side.BUY,
            "0x83d383e8b9e869b5dd7a6536623528fb5e87924fa8d5f922175f73668c84097b",
            "0x1b8a6976a123d00a9dcf9566c5d126d5387418cfe052493c62cefedf6c744ac2029cad64ff5f861cef"
            "9d21d3d6bd900186425f5e26e5f427ae7e2fc26b6a0db41b",
        ),
    ],
)
def test_published_orders_have_their_ids_and_signatures(
    domain: ExchangeDomain, token: str, side: Side, order_id: str, signature: str
) -> None:
    """Reproduced by both official clients."""
    cost, size = 5_000_000, 10_000_000
    maker, taker = (cost, size) if side is Side.BUY else (size, cost)
    fields = build_fields(
        domain=domain,
        token_id=token,
        side=side,
        amounts=OrderAmounts(maker=maker, taker=taker),
        salt=1_234_567_890,
        timestamp_ms=1_795_348_800_000,
    )
    signed = ORDER_SIGNER.sign(fields)
    assert (signed.order_id, signed.signature) == (order_id, signature)
    assert order_id_of(fields) == order_id


@pytest.mark.parametrize("name", ["v2_poly_1271", "v2_eoa", "v3_eoa"])
def test_vectors_of_the_official_clients_tests_agree(name: str) -> None:
    """The other two vectors of the file sign the order struct that the venue retired."""
    data = json.loads(require("vectors", "polymarket_sdk_vectors.json").read_text())
    vector = next(each for each in data["vectors"] if each["name"] == name)
    order = vector["order"]
    fields = OrderFields(
        domain=exchange_domain(vector["domain_version"], data["chain_id"], vector["exchange"]),
        salt=int(order["salt"]),
        maker=Address(order["maker"]),
        signer=Address(order["signer"]),
        token_id=order["tokenId"],
        amounts=OrderAmounts(maker=int(order["makerAmount"]), taker=int(order["takerAmount"])),
        side=Side(order["side"]),
        signature_type=SignatureType(order["signatureType"]),
        timestamp_ms=int(order["timestamp"]),
        metadata=order["metadata"],
        builder=order["builder"],
        time_in_force=TimeInForce.GTC,
    )
    signer = OrderSigner(Secret(JUNK_KEY))
    signed = signer.sign(fields)
    assert signer.address == data["address"]
    assert signed.order_id == vector["order_hash"]
    assert signed.signature == vector["signature"]


def test_constants_are_the_hashes_of_their_texts() -> None:
    """What stands in the module as a digest is computed again here."""
    for digest, text in (
        (contracts.ORDER_TYPE_HASH, contracts.ORDER_TYPE),
        (contracts.TYPED_DATA_SIGN_TYPE_HASH, contracts.TYPED_DATA_SIGN_TYPE),
        (contracts.DEPOSIT_WALLET_NAME_HASH, contracts.DEPOSIT_WALLET_NAME),
        (contracts.DEPOSIT_WALLET_VERSION_HASH, contracts.DEPOSIT_WALLET_VERSION),
    ):
        assert digest == keccak256(text.encode())
    for domain in KNOWN_DOMAINS:
        assert domain.separator == separator_of(domain.version, domain.chain_id, domain.contract)
        assert exchange_domain(domain.version, domain.chain_id, domain.contract) is domain
    assert V1_NORMAL.separator.hex() == (
        "3264e159346253e26a64e00b69032db0e7d32f94628de3e6eecb50304d7af3d2"
    )
    assert V2.separator.hex() == "466c63910185bbd55e8679264200c4e0abdcbb0c6264eb3d41d13326022e095b"


def test_addresses_carry_their_checksum() -> None:
    """Every constant has a valid EIP-55 checksum; all but one begin with the digits they claim."""
    constants = [value for value in vars(contracts).values() if type(value) is str]
    addresses = [value for value in constants if value.startswith("0x")]
    assert len(addresses) == 9
    for address in (*addresses, *(domain.contract for domain in KNOWN_DOMAINS)):
        assert parse_address(address) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x" + "0" * 40,
        TEST_ADDRESS[:-1],
        TEST_ADDRESS + "0",
        TEST_ADDRESS.replace("0x", "0X"),
        TEST_ADDRESS.replace("D", "d", 1),
        TEST_ADDRESS.replace("1", "１", 1),
        "vitalik.eth",
        TEST_ADDRESS + "\n",
    ],
)
def test_malformed_addresses_are_refused(text: str) -> None:
    """A wrong checksum is a typing error, and a full-width digit is no digit."""
    with pytest.raises(ValueError, match="address"):
        parse_address(text)


@pytest.mark.parametrize("text", [TEST_ADDRESS, TEST_ADDRESS.lower()])
def test_addresses_in_one_case_get_their_checksum(text: str) -> None:
    """All lower case is how most services print them."""
    assert parse_address(text) == TEST_ADDRESS


def test_portable_keccak_gives_the_same_digests() -> None:
    """Platforms without the fast package hash with the other one."""
    portable = pytest.importorskip("Crypto.Hash.keccak")
    random = Random(7)
    for length in (0, 1, 135, 136, 137, 272, 384, 1000):
        data = random.randbytes(length)
        assert keccak256(data) == portable.new(digest_bits=256, data=data).digest()


# Durable form -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("domain", "side", "kind"), combinations())
def test_stored_order_is_rebuilt_to_the_same_bytes(
    domain: ExchangeDomain, side: Side, kind: SignatureType
) -> None:
    """A resend after a crash is the same request, through JSON as the ledger keeps it."""
    random = Random(f"{domain.version}{side}{kind}")
    for _ in range(20):
        fields = random_fields(random, domain, side, kind)
        signed = ORDER_SIGNER.sign(fields)
        stored = json.loads(json.dumps(fields.to_wire()))
        # A fresh signer, as after a restart.
        rebuilt = OrderSigner(Secret(TEST_KEY)).rebuild(stored, order_id=signed.order_id)
        assert rebuilt == signed
        assert build_order_body(rebuilt, owner="a-1") == build_order_body(signed, owner="a-1")


def test_stored_order_holds_no_signature_and_no_key() -> None:
    """The ledger must not be able to give away a signed order."""
    fields = build_fields()
    signature = ORDER_SIGNER.sign(fields).signature
    stored = json.dumps(fields.to_wire())
    assert signature[2:66] not in stored
    assert TEST_KEY[2:] not in stored


HASHED: dict[str, str | int] = {
    "salt": 2,
    "maker_amount": 5_000_001,
    "taker_amount": 1,
    "side": "SELL",
    "timestamp_ms": 1_795_348_800_001,
    "token_id": "1235",
    "contract": V1_NEGATIVE_RISK.contract,
    "domain_version": "3",
    "chain_id": 80_002,
    "metadata": "0x" + "1" * 64,
    "builder": "0x" + "1" * 64,
    "maker": checksum_address(bytes(19) + b"\x07"),
    "signature_type": 1,
}


@pytest.mark.parametrize("key", sorted(HASHED))
def test_changed_field_gives_another_id_and_is_not_sent(key: str) -> None:
    """Whatever happened to the ledger, only the order that was recorded can leave."""
    fields = build_fields()
    order_id = order_id_of(fields)
    with pytest.raises(PermanentError, match="give another id"):
        ORDER_SIGNER.rebuild({**fields.to_wire(), key: HASHED[key]}, order_id=order_id)


@pytest.mark.parametrize("key", sorted(HASHED | {"order_type": "", "expires_s": 0}))
def test_missing_field_is_not_guessed(key: str) -> None:
    """Half an intent is no intent."""
    fields = build_fields()
    wire = fields.to_wire()
    for broken in ({k: v for k, v in wire.items() if k != key}, {**wire, key: "x"}):
        with pytest.raises(PermanentError, match=r"cannot be rebuilt|give another id"):
            ORDER_SIGNER.rebuild(broken, order_id=order_id_of(fields))


def test_order_of_another_key_is_not_signed() -> None:
    """The venue would refuse it; a wrong funder setting shows before anything is sent."""
    stranger = random_address(Random(3))
    with pytest.raises(PermanentError, match="key is of"):
        ORDER_SIGNER.sign(build_fields(maker=stranger, signer=stranger))


# Signatures -------------------------------------------------------------------------------------


def test_signature_is_deterministic_low_s_and_recovers_the_key() -> None:
    """RFC 6979 and EIP-2, checked over many digests."""
    half_order = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
    random = Random(11)
    for _ in range(200):
        digest = random.randbytes(32)
        signature = ORDER_SIGNER.sign_digest(digest)
        assert signature == OrderSigner(Secret(TEST_KEY)).sign_digest(digest)
        assert int.from_bytes(signature[32:64], "big") <= half_order
        recoverable = signature[:64] + bytes((signature[64] - 27,))
        public = coincurve.PublicKey.from_signature_and_message(recoverable, digest, hasher=None)
        assert address_of(public.format(compressed=False)) == TEST_ADDRESS


def test_deposit_wallet_signature_names_the_order_it_wraps() -> None:
    """317 bytes: inner signature, domain, contents, the type's text and its length."""
    wallet = random_address(Random(5))
    fields = build_fields(maker=wallet, signer=wallet, signature_type=SignatureType.DEPOSIT_WALLET)
    signed = ORDER_SIGNER.sign(fields)
    raw = bytes.fromhex(signed.signature[2:])
    assert len(raw) == 317
    assert raw[65:97] == fields.domain.separator
    assert raw[97:129] == struct_hash(fields)
    assert raw[129:315].decode() == contracts.ORDER_TYPE
    assert int.from_bytes(raw[315:], "big") == 186
    assert "0x" + keccak256(b"\x19\x01" + raw[65:97] + raw[97:129]).hex() == signed.order_id


def test_order_ids_are_typed_text() -> None:
    """The ledger compares ids as text: lower case, with prefix."""
    order_id: OrderId = order_id_of(build_fields())
    assert order_id == order_id.lower()
    assert len(order_id) == 66
