"""What the venue looks at before it takes an order, in its order and with its words."""

from decimal import Decimal
from typing import Final

from polybot.domain.money import text_of
from polybot.sandbox.exchange import refusals
from polybot.sandbox.exchange.accounts import DEPOSIT_WALLET, EOA, Account, Accounts
from polybot.sandbox.exchange.refusals import VenueRefusalError, invalid_order
from polybot.sandbox.exchange.rules import (
    CENT,
    EXCHANGES,
    MICRO,
    NEGATIVE_RISK_EXCHANGE,
    V1_EXCHANGE,
    V2_EXCHANGE,
    ExchangeDomain,
    VenueRules,
)
from polybot.sandbox.exchange.submissions import SentOrder, Submission
from polybot.sandbox.listing import VenueMarket

# Amounts rounded to their decimals miss the price they were made from by less than the finest tick.
_FINEST_TICK: Final = 100
# Market orders: the computed amount has at most four decimals, five on ticks finer than a cent.
_STEP: Final = {4: 100, 5: 10}


def domain_of(market: VenueMarket) -> ExchangeDomain:
    """Return the exchange that a market's tokens are traded on."""
    if market.version == "v2":
        return V2_EXCHANGE
    return NEGATIVE_RISK_EXCHANGE if market.is_negative_risk else V1_EXCHANGE


def check_parties(accounts: Accounts, order: SentOrder, owner: str) -> Account:
    """Return whose order it is: maker and signer must belong to the API key's wallet.

    Raises:
        VenueRefusalError: They do not.
    """
    account = accounts.of_funder(order.maker)
    if order.signatureType == DEPOSIT_WALLET:
        if order.signer.lower() != order.maker.lower():
            raise VenueRefusalError(refusals.WRONG_SIGNER)
    elif order.signer.lower() != owner:
        raise VenueRefusalError(refusals.WRONG_SIGNER)
    if (
        account is None
        or account.signature_type != order.signatureType
        or not account.is_traded_by(owner)
    ):
        if order.signatureType == EOA and order.signer.lower() != order.maker.lower():
            raise VenueRefusalError(refusals.WRONG_SIGNER)
        raise VenueRefusalError(refusals.WRONG_MAKER)
    return account


def check_signature(order: SentOrder, account: Account, market: VenueMarket) -> str:
    """Return the order's id, computed here, once its signature has been verified.

    Raises:
        VenueRefusalError: The signature is for another exchange, or no signature of the owner.
    """
    from polybot.sandbox.exchange import typed_data  # noqa: PLC0415 - keeps start-up light

    def is_signed_for(domain: ExchangeDomain) -> bool:
        if order.signatureType != DEPOSIT_WALLET:
            return typed_data.order_signer(order, domain) == account.owner
        signer = typed_data.wallet_order_signer(order, domain)
        if signer is None:
            return False
        if signer.is_session_key:
            return signer.address in account.session_keys
        return signer.address == account.owner

    domain = domain_of(market)
    if is_signed_for(domain):
        return typed_data.order_hash(order, domain)
    if any(is_signed_for(other) for other in EXCHANGES if other != domain):
        raise VenueRefusalError(refusals.VERSION_MISMATCH)
    raise VenueRefusalError(refusals.INVALID_SIGNATURE)


def price_of(order: SentOrder) -> int:
    """Return the price that the amounts mean, to the venue's finest tick [10⁻⁶ pUSD].

    A BUY's is rounded down and a SELL's up, because rounding its amounts moved it the other way.
    """
    if order.is_buy:
        exact = order.maker_amount * MICRO // order.taker_amount
        return exact - exact % _FINEST_TICK
    exact = -(-order.taker_amount * MICRO // order.maker_amount)
    return -(-exact // _FINEST_TICK) * _FINEST_TICK


def check_price(order_id: str, order: SentOrder, tick: int) -> int:
    """Return the price, which must be on the tick and at least one tick inside (0, 1)."""
    price = price_of(order)
    shown_tick = text_of(Decimal(tick) / MICRO)
    shown_price = text_of(Decimal(price) / MICRO)
    if not tick <= price <= MICRO - tick:
        raise invalid_order(
            order_id,
            f"Price ({shown_price}) must be between {shown_tick} "
            f"and {text_of(Decimal(MICRO - tick) / MICRO)}",
        )
    if price % tick:
        raise invalid_order(
            order_id, f"Price ({shown_price}) breaks minimum tick size rule: {shown_tick}"
        )
    return price


def check_sizes(order_id: str, sent: Submission, tick: int, rules: VenueRules) -> int:
    """Return the shares of an order; its amounts must have the decimals and minimums of its kind.

    The dollar minimum depends on the book and is checked where the book is.
    """
    order = sent.order
    size = order.taker_amount if order.is_buy else order.maker_amount
    if not sent.rests:
        decimals = 4 if tick >= CENT else 5
        if order.maker_amount % CENT or order.taker_amount % _STEP[decimals]:
            words = refusals.BUY_ACCURACY if order.is_buy else refusals.SELL_ACCURACY
            raise VenueRefusalError(words.format(taker=decimals))
    elif size % CENT:
        raise invalid_order(order_id, "Maximum lot size is 2 decimals")
    if size < rules.min_size:
        shown, minimum = (text_of(Decimal(one) / MICRO) for one in (size, rules.min_size))
        raise invalid_order(order_id, f"Size ({shown}) lower than the minimum: {minimum}")
    return size


def check_working(sent: Submission, now_s: int, rules: VenueRules) -> None:
    """Refuse a post-only order that cannot rest and an expiration that cannot be."""
    if sent.postOnly and not sent.rests:
        raise VenueRefusalError(refusals.POST_ONLY_TYPE)
    expires_s = int(sent.order.expiration)
    if sent.orderType == "GTD":
        if expires_s < now_s + rules.gtd_ahead_s:
            raise VenueRefusalError(refusals.INVALID_EXPIRATION)
    elif expires_s:
        raise VenueRefusalError(refusals.INVALID_EXPIRATION)


def no_balance(balance: int, wanted: int) -> VenueRefusalError:
    """Return the refusal of an order that its account cannot pay."""
    return VenueRefusalError(
        f"{refusals.NO_BALANCE}: the balance is not enough -> "
        f"balance: {balance}, order amount: {wanted}"
    )


def no_allowance(allowance: int, wanted: int) -> VenueRefusalError:
    """Return the refusal of an order whose exchange may not move the assets."""
    return VenueRefusalError(
        f"{refusals.NO_BALANCE}: the allowance is not enough -> "
        f"allowance: {allowance}, order amount: {wanted}"
    )
