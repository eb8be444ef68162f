"""The doctor's checks of key and account: live mode alone, and reading alone."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from polybot.cli.findings import Examination, Finding, failure, ok, warning
from polybot.errors import ConfigurationError, PolybotError

if TYPE_CHECKING:
    from polybot.adapters.polymarket.order_fields import TradingAccount
    from polybot.adapters.polymarket.signing import OrderSigner
    from polybot.config import Settings
    from polybot.ports import VenueAccount

    AccountCheck = Callable[[Examination, VenueAccount], Awaitable[Finding]]


def check_key(examination: Examination) -> Iterator[Finding]:
    """Unlock the key, and see that key, funder and signature type agree."""
    if not examination.is_live:
        yield ok("key", "not read: only live mode needs one")
        return
    from polybot.cli.key import ask_secret
    from polybot.trading_key import load_signer, trading_account

    settings = examination.session.settings
    try:
        signer = load_signer(settings, ask=ask_secret)
    except ConfigurationError as error:
        yield failure("key", str(error), "see docs/keys.md")
        return
    yield ok("key", f"{settings.live.key_source} opens, its address is {signer.address}")
    if settings.live.accept_plain_key:
        yield warning(
            "plain key",
            "live.accept_plain_key is on: a key in .env would be taken",
            "import the key with `polybot key import` and turn it off",
        )
    try:
        account = trading_account(settings, signer)
    except ConfigurationError as error:
        yield failure("account", str(error), "see docs/keys.md")
        return
    examination.signer, examination.account = signer, account
    lent = ", session key" if account.is_session_key else ""
    detail = f"funds of {account.funder}, signature type {int(account.signature_type)}{lent}"
    if account.is_session_key:
        yield ok("account", detail)
    else:
        yield warning(
            "account",
            f"{detail}; the key can withdraw",
            "a session key of a deposit wallet cannot: docs/keys.md",
        )


def check_account(examination: Examination) -> Iterator[Finding]:
    """Ask the venue for our account: credentials, restrictions, cash, allowances."""
    if not examination.is_live:
        return
    if examination.offline:
        yield ok("account at the venue", "not asked (--offline)")
    elif examination.signer is None or examination.account is None:
        yield failure("account at the venue", "not asked without a key", "mend the key first")
    else:
        yield from asyncio.run(_ask_account(examination))


def check_redeemable(examination: Examination) -> Iterator[Finding]:
    """Name winnings that are not cash yet: by our record, and by the venue's."""
    if not examination.is_live:
        return
    yield from _recorded_winnings(examination)
    if examination.offline:
        yield ok("redeemable at the venue", "not asked (--offline)")
    elif examination.account is None:
        yield failure("redeemable at the venue", "not asked without a wallet", "mend the key first")
    else:
        yield asyncio.run(_shown_winnings(examination, examination.account.funder))


def _recorded_winnings(examination: Examination) -> Iterator[Finding]:
    with examination.session.existing_ledger() as ledger:
        waiting = () if ledger is None else ledger.open_redemptions()
    if not waiting:
        yield ok("redeemable", "nothing of our record waits to be redeemed")
        return
    total = sum(one.payout_usdc for one in waiting)
    by_hand = [one for one in waiting if one.state == "needs-person"]
    detail = f"{len(waiting)} markets with {total} USDC wait to be redeemed"
    if by_hand:
        yield warning("redeemable", f"{detail}, {len(by_hand)} of them by you", by_hand[0].reason)
    else:
        yield warning("redeemable", detail, "the settle flow redeems them")


async def _shown_winnings(examination: Examination, wallet: str) -> Finding:
    from polybot.adapters.polymarket.redeemable import redeemable_payouts
    from polybot.adapters.web import WebClient
    from polybot.domain.money import text_of

    name, settings = "redeemable at the venue", examination.session.settings
    async with WebClient(timeout_s=settings.venue.timeout_s) as web:
        owed = await redeemable_payouts(web, settings.hosts.data_url, wallet)
    if not owed:
        return ok(name, "nothing waits there")
    total = text_of(sum(owed.values(), Decimal()))
    return warning(
        name,
        f"{len(owed)} resolved markets owe the wallet {total} USDC",
        "the settle flow redeems those of our record; the others are yours, on the venue's site",
    )


async def _ask_account(examination: Examination) -> list[Finding]:
    from polybot.live_venue import open_venue_account

    settings = examination.session.settings
    signer, account = examination.signer, examination.account
    if signer is None or account is None:
        raise ConfigurationError("no key was loaded")
    opener = examination.open_account or open_venue_account
    found: list[Finding] = []
    async with opener(settings, signer, account) as venue:
        for name, check in _ACCOUNT_CHECKS.items():
            try:
                found.append(await check(examination, venue))
            except PolybotError as error:
                found.append(failure(name, str(error), "see docs/keys.md; nothing was changed"))
    found.append(await _approvals(examination, settings, signer, account))
    return found


async def _restrictions(_: Examination, venue: "VenueAccount") -> Finding:
    # The first private request: it proves that the credentials work.
    if await venue.is_closed_only():
        return failure(
            "API credentials",
            "they work, and the account may only close positions",
            "the venue decided so for this account or place; do not trade",
        )
    return ok("API credentials", "they work, and the account may open positions")


async def _cash(examination: Examination, venue: "VenueAccount") -> Finding:
    risk = examination.session.settings.risk
    cash = await venue.cash_usdc()
    needed = risk.min_cash_usdc + risk.stake_usdc
    if cash >= needed:
        return ok("collateral", f"enough for risk.min_cash_usdc and a stake: {needed} USDC")
    return failure(
        "collateral",
        f"{cash} USDC in the wallet; risk.min_cash_usdc and a stake need {needed}",
        "deposit pUSD, or lower risk.min_cash_usdc",
    )


async def _allowances(examination: Examination, venue: "VenueAccount") -> Finding:
    from polybot.adapters.polymarket.contracts import domain_of
    from polybot.domain.markets import Outcome

    needed = examination.session.settings.risk.max_stake_usdc
    if not examination.markets:
        return failure(
            "allowances", "not known which exchange is needed", "mend the market check first"
        )
    given = await venue.allowances()
    contracts = {
        domain_of(market, market.token_ids[Outcome.UP]).contract for market in examination.markets
    }
    lacking = sorted(one for one in contracts if given.get(one.lower(), 0) < needed)
    if not lacking:
        return ok("allowances", f"{', '.join(sorted(contracts))} may move the stake")
    return failure(
        "allowances",
        f"{', '.join(lacking)} may move less than risk.max_stake_usdc, {needed} USDC",
        "approve the exchange on the venue's site by trading once by hand there",
    )


async def _approvals(
    examination: Examination, settings: "Settings", signer: "OrderSigner", account: "TradingAccount"
) -> Finding:
    """Look at every approval of the wallet, also those that selling and redeeming need."""
    from polybot.adapters.polymarket.contracts import COLLATERAL, domain_of
    from polybot.domain.markets import Outcome
    from polybot.live_venue import open_redeemer

    name = "approvals"
    try:
        async with open_redeemer(settings, signer, account) as redeemer:
            missing = await redeemer.missing_approvals()
    except PolybotError as error:
        # The allowance that a BUY needs was asked of the venue itself, just before.
        return warning(name, str(error), "approvals for selling are not known; ask again later")
    ours = {
        domain_of(market, market.token_ids[Outcome.UP]).contract.lower()
        for market in examination.markets
    }
    # How much collateral may move was looked at before; the client wants it without a limit.
    lacking = [
        one
        for one in missing
        if one.operator.lower() in ours and one.token.lower() != COLLATERAL.lower()
    ]
    said = ", ".join(f"{one.operator} for {one.token}" for one in lacking or missing)
    mend = "approve the exchange on the venue's site by trading once by hand there"
    if lacking:
        return failure(name, f"missing, so nothing can be sold or redeemed: {said}", mend)
    if missing:
        return warning(name, f"missing where this bot does not trade: {said}"[:400])
    return ok(name, "every contract of the venue may move collateral and shares")


_ACCOUNT_CHECKS: "dict[str, AccountCheck]" = {
    "API credentials": _restrictions,
    "collateral": _cash,
    "allowances": _allowances,
}
