"""The official client, for what it alone knows: redeeming, and which approvals are missing.

The only file that imports it. It costs two seconds to load, so it is loaded where it is used, never
on the way to an order. The client is built from its own parts, without its start-up: that would
send credentials out again, and could deploy a wallet. All of that is private to version 0.14 and
stays in here. The key stays in our signer, which the client takes for an account of its own.

Source: polymarket-client 0.14.0, read on 2026-11-22.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from polybot.adapters.polymarket.auth import ApiCredentials
from polybot.adapters.polymarket.clob_client import ClobClient
from polybot.adapters.polymarket.contracts import is_position_id
from polybot.adapters.polymarket.keccak import Address, keccak256
from polybot.adapters.polymarket.order_fields import SignatureType, TradingAccount
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.domain.markets import ConditionId, OutcomeTokenId
from polybot.domain.money import Shares, to_micro
from polybot.domain.venue_account import (
    NothingToRedeem,
    RedeemByHand,
    Redeemed,
    RedemptionPending,
    RedemptionResult,
)
from polybot.errors import PermanentError, RateLimitedError, TransientError

if TYPE_CHECKING:
    from polymarket import AsyncSecureClient
    from polymarket.environments import Environment

_WALLET_TYPES: Final = {
    SignatureType.EOA: "EOA",
    SignatureType.PROXY: "POLY_PROXY",
    SignatureType.SAFE: "GNOSIS_SAFE",
    SignatureType.DEPOSIT_WALLET: "DEPOSIT_WALLET",
}
# A relayed transaction takes seconds; what takes longer is looked at again by the next run.
DEFAULT_WAIT_S: Final = 30.0
_BY_HAND: Final = (
    "redeem on the venue's site (Portfolio, Redeem), or set live.relayer_key and "
    "live.relayer_address to a relayer API key made there, and it happens by itself"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkHosts:
    """Where the client sends its requests."""

    clob_url: str
    gamma_url: str
    data_url: str
    relayer_url: str
    rpc_url: str | None = None
    """A Polygon node; ``None``: the client's own choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayerKey:
    """A relayer API key and the address it belongs to."""

    key: SecretStr
    address: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingApproval:
    """A contract that may not move a token of the wallet; addresses as the client spells them."""

    token: str
    """Collateral, or one of the contracts of outcome tokens."""
    operator: str


class SdkRedeemer:
    """Redeems through the relayer, or from the key's own address with its own gas."""

    def __init__(
        self,
        client: ClobClient,
        signer: OrderSigner,
        account: TradingAccount,
        hosts: SdkHosts,
        *,
        relayer_key: RelayerKey | None,
        wait_s: float = DEFAULT_WAIT_S,
    ) -> None:
        """Take who redeems; nothing is loaded or opened yet.

        Args:
            client: Has the API credentials.
            signer: Signs the transactions.
            account: Whose shares.
            hosts: Where requests go.
            relayer_key: Lets contract wallets act without gas; ``None``: they cannot here.
            wait_s: How long a transaction is waited for [s].
        """
        self._client = client
        self._signer = signer
        self._account = account
        self._hosts = hosts
        self._relayer_key = relayer_key
        self._wait_s = wait_s

    async def redeem(
        self, condition_id: ConditionId, held: Mapping[OutcomeTokenId, Shares]
    ) -> RedemptionResult:
        """Send one redemption and wait a little for it.

        Args:
            condition_id: A resolved market.
            held: What the wallet holds of its outcome tokens.

        Raises:
            TransientError: The relayer or the chain refused for now; nothing was redeemed.
            PermanentError: They refuse the request itself.
        """
        by_hand = self._needs_person()
        if by_hand is not None:
            return RedeemByHand(instruction=by_hand)
        from polymarket import errors  # noqa: PLC0415 - two seconds, and only here

        transaction_id = ""
        # Errors are not chained: the client's own frames hold credentials.
        try:
            async with self._opened() as sdk:
                handle = await self._send(sdk, condition_id, held)
                transaction_id = handle.transaction_id or handle.transaction_hash or ""
                outcome = await asyncio.wait_for(handle.wait(), self._wait_s)
        except errors.TransactionFailedError:
            raise TransientError(f"redeeming {condition_id} failed on chain") from None
        except (errors.TransportError, errors.TimeoutError, TimeoutError) as error:
            # Whether it was sent is not always known; a second one for the same shares is void.
            reason = f"no answer in time: {type(error).__name__}"
            return RedemptionPending(transaction_id=transaction_id, reason=reason)
        except errors.RateLimitError as error:
            wait_s = min(max(error.retry_after or 60.0, 0.0), 60.0)
            raise RateLimitedError("the relayer asks for rest", retry_after=wait_s) from None
        except errors.RequestRejectedError as error:
            raise _refusal(error.status) from None
        except errors.UserInputError as error:
            if "no balance to redeem" in str(error):
                return NothingToRedeem(reason="the wallet holds no shares of the market")
            raise PermanentError(f"redeeming {condition_id} is not possible here") from None
        except errors.PolymarketError as error:
            if transaction_id:
                reason = f"its outcome is not known: {type(error).__name__}"
                return RedemptionPending(transaction_id=transaction_id, reason=reason)
            raise TransientError(f"redeeming {condition_id}: {type(error).__name__}") from None
        return Redeemed(transaction_hash=outcome.transaction_hash)

    async def missing_approvals(self) -> tuple[MissingApproval, ...]:
        """Return each approval that trading or redeeming anywhere on the venue lacks.

        Raises:
            TransientError: The venue did not answer, or not as expected.
        """
        from polymarket import errors  # noqa: PLC0415 - two seconds, and only here

        try:
            async with self._opened() as sdk:
                state = await sdk.get_trading_approvals_state()
        except errors.PolymarketError as error:
            raise TransientError(f"approvals could not be read: {type(error).__name__}") from None
        return (
            *(
                MissingApproval(token=one.token_address, operator=one.spender)
                for one in state.missing.erc20
            ),
            *(
                MissingApproval(token=one.token_address, operator=one.operator)
                for one in state.missing.erc1155
            ),
        )

    def _needs_person(self) -> str | None:
        if self._account.is_session_key:
            return f"a session key is not used to redeem: {_BY_HAND} with the owner's key"
        if self._account.signature_type is not SignatureType.EOA and self._relayer_key is None:
            return _BY_HAND
        return None

    async def _send(
        self,
        sdk: "AsyncSecureClient",
        condition_id: ConditionId,
        held: Mapping[OutcomeTokenId, Shares],
    ) -> Any:
        positions = {token: size for token, size in held.items() if size and is_position_id(token)}
        if not positions:
            return await sdk.redeem_positions(condition_id=condition_id)
        return await sdk.execute_transaction(
            calls=_redeem_calls(sdk, positions), metadata=f"Redeem {condition_id}"
        )

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator["AsyncSecureClient"]:
        from polymarket import AsyncSecureClient  # noqa: PLC0415 - two seconds, and only here
        from polymarket._internal.environment import get_environment_config  # noqa: PLC0415
        from polymarket.auth import RelayerApiKey  # noqa: PLC0415

        credentials = await self._client.credentials()
        environment = environment_of(self._hosts)
        key = self._relayer_key
        signer: Any = _Account(self._signer)
        wallet_type: Any = _WALLET_TYPES[self._account.signature_type]
        sdk = AsyncSecureClient._construct_for_wallet(  # noqa: SLF001 - see the module's head
            signer=signer,
            wallet=self._account.funder,
            wallet_type=wallet_type,
            signer_type="OWNER",
            environment=environment,
            config=get_environment_config(environment),
            credentials=_sdk_credentials(credentials),
            api_key=None
            if key is None
            else RelayerApiKey(key=key.key.get_secret_value(), address=key.address),
            logger=None,
            on_rate_limit_update=None,
        )
        try:
            yield sdk
        finally:
            await sdk.close()


def environment_of(hosts: SdkHosts) -> "Environment":
    """Return the client's environment with our hosts in it."""
    from polymarket._internal.environment import (  # noqa: PLC0415 - two seconds, and only here
        PRODUCTION_CONFIG,
        create_environment,
    )

    config = replace(
        PRODUCTION_CONFIG,
        clob_url=hosts.clob_url,
        gamma_url=hosts.gamma_url,
        data_url=hosts.data_url,
        relayer_url=hosts.relayer_url,
        rpc_url=hosts.rpc_url or PRODUCTION_CONFIG.rpc_url,
    )
    return create_environment(name="polybot", config=config)


def _sdk_credentials(credentials: ApiCredentials) -> Any:
    from polymarket.models.clob import ApiKeyCreds  # noqa: PLC0415 - two seconds, and only here

    return ApiKeyCreds.model_validate(credentials.socket_login())


class _Account:
    """Our signer in the form of the account that the client expects; it has no key to show."""

    def __init__(self, signer: OrderSigner) -> None:
        self._signer = signer
        self.address = signer.address

    def sign_message(self, signable: Any) -> Any:
        """Sign a message of EIP-191, such as hashed typed data."""
        digest = keccak256(b"\x19" + signable.version + signable.header + signable.body)
        return SimpleNamespace(signature=self._signer.sign_digest(digest))

    def sign_transaction(self, transaction: Any) -> Any:
        """Sign a transaction of the key's own address."""
        from eth_account._utils.signing import sign_transaction_dict  # noqa: PLC0415

        _, _, _, raw = sign_transaction_dict(_key_of(self._signer), transaction)
        return SimpleNamespace(raw_transaction=raw)


def _key_of(signer: OrderSigner) -> Any:
    from eth_keys.datatypes import Signature  # noqa: PLC0415 - comes with the client

    def sign(digest: bytes) -> Signature:
        signature = signer.sign_digest(bytes(digest))
        return Signature(signature[:64] + bytes((signature[64] - 27,)))

    return SimpleNamespace(sign_msg_hash=sign)


def _redeem_calls(
    sdk: "AsyncSecureClient", positions: Mapping[OutcomeTokenId, Shares]
) -> list[Any]:
    """Return one router call for each v2 position; its id holds the condition and the outcome.

    Source: docs.polymarket.com/migrate/polymarket-v2/contract-integrations (2026-11-22).
    """
    from polymarket._internal.actions.relayer.calls import redeem_v2_call  # noqa: PLC0415
    from polymarket._internal.environment import get_environment_config  # noqa: PLC0415

    router: Any = get_environment_config(sdk.environment).protocol_v2_router
    return [
        redeem_v2_call(
            router=router,
            condition_id=f"0x{int(token) >> 8:062x}",
            outcome_index=int(token) & 0xFF,
            amount=to_micro(size),
        )
        for token, size in positions.items()
    ]


def _refusal(status: int) -> PermanentError | TransientError:
    message = f"the redemption was refused with {status}"
    if status in (408, 425, 429) or status >= 500:
        return TransientError(message)
    return PermanentError(f"{message}: check the relayer key and the wallet")
