"""The live exchange: signs an order, posts it once, and finds out later what became of it.

An order's id is its EIP-712 hash, so it is known, and durable in the ledger, before the request
leaves. Nothing here ever sends an order a second time; what an answer does not prove is looked up
by that id and by the account's trades. Fills come from trades alone: answers carry amounts whose
unit differs between sources.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, assert_never

from polybot.adapters.polymarket.account import PolymarketAccount
from polybot.adapters.polymarket.answers import RefusalCause
from polybot.adapters.polymarket.auth import ApiCredentials
from polybot.adapters.polymarket.clob_client import ClobClient, NoAnswer, NotSent, RawAnswer
from polybot.adapters.polymarket.look_ups import OrderLookUps
from polybot.adapters.polymarket.order_fields import (
    TradingAccount,
    fields_of,
    new_salt,
)
from polybot.adapters.polymarket.order_wire import (
    OtherOrder,
    Placed,
    Refused,
    Restricted,
    Undecided,
    VenueAnswer,
    build_order_body,
    read_order_answer,
    unanswered,
)
from polybot.adapters.polymarket.signing import (
    HashedOrder,
    OrderSigner,
    SignedOrder,
    hash_order,
)
from polybot.adapters.polymarket.venue_memory import VenueMemory
from polybot.adapters.polymarket.verdicts import Patience
from polybot.domain.accounts import OrderRecord
from polybot.domain.orders import (
    ApprovedOrder,
    OrderId,
    OrderReport,
    PreparedOrder,
    Rejected,
    SubmitResult,
)
from polybot.errors import DataError, PolybotError, TransientError
from polybot.ports import Clock, MarketData

# An order leaves within a second of its decision; one that is older was held up by a suspended
# machine, and the prices that it was decided on are gone.
OLDEST_SENT_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sealed:
    """A signed order, with its request's body where the owner of the API key is known."""

    signed: SignedOrder
    owner: str
    body: bytes

    def body_for(self, credentials: ApiCredentials) -> bytes:
        """Return the body of the request under an API key."""
        if self.owner == credentials.key_id:
            return self.body
        return build_order_body(self.signed, owner=credentials.key_id)


class PolymarketExchange:
    """The venue's CLOB, for one key and one wallet."""

    def __init__(
        self,
        client: ClobClient,
        signer: OrderSigner,
        account: TradingAccount,
        *,
        market_data: MarketData,
        clock: Clock,
        memory: VenueMemory,
        patience: Patience | None = None,
    ) -> None:
        """Take everything that an order needs.

        Args:
            client: Sends the requests; whoever opened it closes it.
            signer: Holds the key.
            account: Whose funds, by which kind of wallet.
            market_data: Tells a market's fees, which trades do not carry.
            clock: Dates requests and looks.
            memory: What other runs have to know, too.
            patience: How long silence proves nothing.
        """
        self._client = client
        self._signer = signer
        self._account = account
        self._clock = clock
        self._memory = memory
        self._venue = PolymarketAccount(client, account)
        self._last: HashedOrder | None = None
        self._sealed: _Sealed | None = None
        self._looks = OrderLookUps(
            self._venue, market_data, clock=clock, memory=memory, patience=patience or Patience()
        )

    async def warm(self) -> None:
        """Connect and log in before the moment of the order, which then is one round trip.

        Raises:
            TransientError, PermanentError, DataError: As ``ClobClient.credentials``.
        """
        await self._client.credentials()

    def prepare(self, approved: ApprovedOrder, *, created_at: datetime) -> PreparedOrder:
        """Give an order its id and everything that a later look or resend needs.

        Raises:
            DataError: The venue's decimals or contracts cannot express the order.
        """
        fields = fields_of(
            approved.order,
            self._account,
            salt=new_salt(),
            timestamp_ms=int(created_at.timestamp() * 1000),
        )
        self._last = hashed = hash_order(fields)
        return PreparedOrder(
            order_id=hashed.order_id,
            order=approved.order,
            created_at=created_at,
            wire=dict(hashed.wire),
        )

    def sign(self, prepared: PreparedOrder) -> None:
        """Sign an order whose intent is durable, and keep its bytes until it is sent.

        Raises:
            PermanentError: The key or the prepared fields do not fit; ``submit`` says so, too.
        """
        signed = self._rebuilt(prepared)
        owner = self._client.known_owner
        body = build_order_body(signed, owner=owner) if owner else b""
        self._sealed = _Sealed(signed=signed, owner=owner, body=body)

    async def submit(self, prepared: PreparedOrder) -> SubmitResult:
        """Send an order at most once and return what the answer proves.

        An order that did not leave is ``Rejected`` with a reason that begins ``not sent``.
        """
        try:
            sealed = self._take_sealed(prepared)
            signed = sealed.signed
            credentials = await self._client.credentials()
            now = await self._clock.now()
            objection = self._objection(signed, now) or self._memory.claim_canary(
                signed.order_id, signed.fields
            )
        except PolybotError as problem:
            return _not_sent(prepared.order_id, str(problem))
        if objection is not None:
            return _not_sent(prepared.order_id, objection)
        body = sealed.body_for(credentials)
        answer = await self._client.post_order(body, credentials, at=now)
        match answer:
            case NotSent(reason=reason):
                self._memory.release_canary(signed.order_id)
                return _not_sent(signed.order_id, reason)
            case NoAnswer(reason=reason):
                return unanswered(signed.order_id, reason).result
            case RawAnswer(status=status, headers=headers, body=body):
                read = read_order_answer(
                    signed.order_id,
                    signed.fields.time_in_force,
                    status=status,
                    headers=headers,
                    body=body,
                    now=now,
                )
                return self._concluded(signed.order_id, read, credentials, now=now)
            case _ as never:
                assert_never(never)

    async def look_up(self, record: OrderRecord) -> OrderReport:
        """Return what the order itself and the account's trades prove.

        Raises:
            TransientError: The venue did not answer; nothing is known.
            DataError: What it answered says nothing.
        """
        return await self._looks.look_up(record)

    async def look_up_many(
        self, records: Sequence[OrderRecord]
    ) -> tuple[OrderReport | TransientError | DataError, ...]:
        """Return what is proved about many orders, with few questions."""
        return await self._looks.look_up_many(records)

    async def cancel(self, record: OrderRecord) -> OrderReport:
        """Take a resting order out of the book and return what is known afterwards.

        Cancels go on in every restricted mode; where the venue takes none either, this raises.

        Raises:
            TransientError: The venue did not answer; the order may or may not be cancelled.
        """
        await self._venue.cancel(record.order_id)
        return await self.look_up(record)

    def _concluded(
        self, order_id: OrderId, answer: VenueAnswer, credentials: ApiCredentials, *, now: datetime
    ) -> SubmitResult:
        match answer:
            case Placed(result=accepted, state=state):
                self._memory.pass_canary(order_id)
                if not accepted.is_resting:
                    self._memory.note_taken(order_id, state)
                return accepted
            case Restricted(result=rejected, restriction=restriction, retry_after_s=wait_s):
                self._memory.release_canary(order_id)
                self._memory.restrict(restriction, until=now + timedelta(seconds=wait_s))
                return rejected
            case Refused(result=rejected, cause=cause):
                self._memory.release_canary(order_id)
                is_lasting = cause.must_halt
                if cause is RefusalCause.UNAUTHORIZED:
                    is_lasting = not self._client.refuse(credentials)
                return replace(rejected, must_halt=is_lasting)
            case Undecided(result=unknown) | OtherOrder(result=unknown):
                return unknown
            case _ as never:
                assert_never(never)

    def _rebuilt(self, prepared: PreparedOrder) -> SignedOrder:
        return self._signer.rebuild(prepared.wire, order_id=prepared.order_id, known=self._last)

    def _take_sealed(self, prepared: PreparedOrder) -> "_Sealed":
        sealed, self._sealed = self._sealed, None
        if sealed is not None and sealed.signed.order_id == prepared.order_id:
            return sealed
        return _Sealed(signed=self._rebuilt(prepared), owner="", body=b"")

    def _objection(self, signed: SignedOrder, now: datetime) -> str | None:
        age_s = now.timestamp() - signed.fields.timestamp_ms / 1000
        if age_s > OLDEST_SENT_S:
            # The machine slept between the decision and its order.
            return f"the decision is {age_s:.0f} s old"
        active = self._memory.restriction(at=now)
        if active is None or not active.stops(is_post_only=signed.fields.is_post_only):
            return None
        return f"restricted until {active.until:%FT%TZ}: the venue is {active.restriction}"


def _not_sent(order_id: OrderId, reason: str) -> Rejected:
    return Rejected(order_id=order_id, reason=f"not sent: {reason}")
