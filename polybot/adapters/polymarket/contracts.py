"""The venue's contracts and the EIP-712 constants that order hashes are made of.

Digests stand here as they were computed; the tests compute them again. This module does not know
orders or keys.

Sources: docs.polymarket.com/migrate/polymarket-v2/contract-integrations and /v2-migration;
eips.ethereum.org/EIPS/eip-712; eips.ethereum.org/EIPS/eip-7739 (all 2026-11-22).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from polybot.adapters.polymarket.keccak import Address, address_word, keccak256
from polybot.domain.markets import Market, MarketVersion, OutcomeTokenId
from polybot.errors import DataError

POLYGON: Final = 137

COLLATERAL: Final = Address("0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB")
"""pUSD, six decimals."""
CONDITIONAL_TOKENS: Final = Address("0x4D97DCd97eC945f40cF65F87097ACe5EA0476045")
"""Outcome tokens of v1 markets."""
POSITION_MANAGER: Final = Address("0x006F54F7f9A22e0000CC2AB60031000000ae9fEF")
"""Outcome tokens of v2 markets."""
ROUTER: Final = Address("0x12121212006e4CD160D18e3f00711DA5c3372600")
"""Redeems v2 positions."""
COLLATERAL_ADAPTER: Final = Address("0xAdA100Db00Ca00073811820692005400218FcE1f")
"""Redeems v1 positions into pUSD."""
NEGATIVE_RISK_COLLATERAL_ADAPTER: Final = Address("0xadA2005600Dec949baf300f4C6120000bDB6eAab")
COLLATERAL_ONRAMP: Final = Address("0x93070a847efEf7F70739046A929D47a521F5B8ee")
COLLATERAL_OFFRAMP: Final = Address("0x2957922Eb93258b93368531d39fAcCA3B4dC5854")
DEPOSIT_WALLET_FACTORY: Final = Address("0x00000000000Fb5C9ADea0298D729A0CB3823Cc07")

DOMAIN_NAME: Final = "Polymarket CTF Exchange"
DOMAIN_TYPE: Final = (
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
ORDER_TYPE: Final = (
    "Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,"
    "uint256 takerAmount,uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,"
    "bytes32 builder)"
)
TYPED_DATA_SIGN_TYPE: Final = (
    "TypedDataSign(Order contents,string name,string version,uint256 chainId,"
    "address verifyingContract,bytes32 salt)" + ORDER_TYPE
)
DEPOSIT_WALLET_NAME: Final = "DepositWallet"
DEPOSIT_WALLET_VERSION: Final = "1"

ORDER_TYPE_HASH: Final = bytes.fromhex(
    "bb86318a2138f5fa8ae32fbe8e659f8fcf13cc6ae4014a707893055433818589"
)
TYPED_DATA_SIGN_TYPE_HASH: Final = bytes.fromhex(
    "6ba028565cb324c2aa02bb714b9816d0bddd557a2f33bb36cf13272a4256bd42"
)
DEPOSIT_WALLET_NAME_HASH: Final = bytes.fromhex(
    "d682b529a17cda19aa275f3a050608f9e9401fadd1b0d233d81519972295828b"
)
DEPOSIT_WALLET_VERSION_HASH: Final = bytes.fromhex(
    "c89efdaa54c0f20c7adf612882df0950f5a951637e0307cdcb4c672f298b8bc6"
)

# The official client takes ids with these bits zero for positions of ExchangeV3.
_POSITION_ID_ZEROS: Final = ((1 << 64) - 1) << 40


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeDomain:
    """One exchange contract as EIP-712 names it."""

    version: str
    chain_id: int
    contract: Address
    separator: bytes
    """32-byte hash of the other fields and the domain's name."""


V1_NORMAL: Final = ExchangeDomain(
    version="2",
    chain_id=POLYGON,
    contract=Address("0xE111180000d2663C0091e4f400237545B87B996B"),
    separator=bytes.fromhex("3264e159346253e26a64e00b69032db0e7d32f94628de3e6eecb50304d7af3d2"),
)
V1_NEGATIVE_RISK: Final = ExchangeDomain(
    version="2",
    chain_id=POLYGON,
    contract=Address("0xe2222d279d744050d28e00520010520000310F59"),
    separator=bytes.fromhex("9b858f53327b0bd13af8ec14cfb35234fb9eb7b0504d1a4e61f433840d30e81a"),
)
V2: Final = ExchangeDomain(
    version="3",
    chain_id=POLYGON,
    contract=Address("0xe3333700cA9d93003F00f0F71f8515005F6c00Aa"),
    separator=bytes.fromhex("466c63910185bbd55e8679264200c4e0abdcbb0c6264eb3d41d13326022e095b"),
)
KNOWN_DOMAINS: Final = (V1_NORMAL, V1_NEGATIVE_RISK, V2)


@lru_cache(maxsize=16)
def exchange_domain(version: str, chain_id: int, contract: str) -> ExchangeDomain:
    """Return the domain of any exchange contract, with its separator computed.

    Raises:
        ValueError: The contract's address is malformed.
    """
    for domain in KNOWN_DOMAINS:
        if (domain.version, domain.chain_id, domain.contract) == (version, chain_id, contract):
            return domain
    return ExchangeDomain(
        version=version,
        chain_id=chain_id,
        contract=Address(contract),
        separator=separator_of(version, chain_id, contract),
    )


def separator_of(version: str, chain_id: int, contract: str) -> bytes:
    """Return the EIP-712 domain separator of an exchange contract [32 bytes]."""
    return keccak256(
        keccak256(DOMAIN_TYPE.encode())
        + keccak256(DOMAIN_NAME.encode())
        + keccak256(version.encode())
        + chain_id.to_bytes(32, "big")
        + address_word(contract)
    )


def domain_of(market: Market, token_id: OutcomeTokenId) -> ExchangeDomain:
    """Return the exchange that a market's token is traded on.

    Raises:
        DataError: The market's version and the form of its token id name different exchanges.
            The official client looks at the id alone, so one of the two is wrong.
    """
    is_position = is_position_id(token_id)
    if is_position is not (market.version is MarketVersion.V2):
        raise DataError(
            f"market {market.slug} is {market.version}, but its token {token_id[:20]} "
            f"{'is' if is_position else 'is not'} of the v2 form",
            reason="token-version-mismatch",
        )
    if is_position:
        return V2
    return V1_NEGATIVE_RISK if market.is_negative_risk else V1_NORMAL


def is_position_id(token_id: str) -> bool:
    """Whether an id has the form of a v2 position: bits 40 to 103 are zero."""
    return not int(token_id) & _POSITION_ID_ZEROS
