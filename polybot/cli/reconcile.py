"""Reconcile by hand: compare with the venue, book what it proves, say what is left."""

import asyncio

import typer

from polybot.cli.session import Session, print_json, say
from polybot.domain.modes import Mode
from polybot.domain.reconciliation import Reconciliation


def reconcile_by_hand(
    session: Session, *, accept_difference: str, accept_shares: str, as_json: bool
) -> None:
    """Bring the ledger to what the venue says and print what that took.

    Args:
        session: Which ledger.
        accept_difference: Why a person accepts cash that nothing explains; empty: nobody does.
        accept_shares: Why a person accepts shares that nothing explains.
        as_json: Print one JSON document.
    """
    from polybot.reports import reconciliation_document

    found = asyncio.run(_reconcile(session, accept_difference, accept_shares))
    mode = session.settings.mode
    if as_json:
        print_json({"mode": mode, **reconciliation_document(found)})
    else:
        _show(found, mode)
    if not found.verdict.allows_trading:
        raise typer.Exit(1)


async def _reconcile(
    session: Session, accept_difference: str, accept_shares: str
) -> Reconciliation:
    from polybot.bootstrap import Access, open_bot
    from polybot.reconciliation import reconcile_account

    async with open_bot(session.settings, access=Access.ACCOUNT) as bot:
        bot.require_account()
        return await reconcile_account(
            bot.ledger,
            bot.exchange,
            bot.account,
            bot.clock,
            mode=bot.mode,
            accepted_difference=accept_difference,
            accepted_shares=accept_shares,
            timing=bot.reconcile_timing,
        )


def _show(found: Reconciliation, mode: Mode) -> None:
    say(f"{mode}: {found.summary()}")
    if found.expected_cash_usdc is not None and found.venue_cash_usdc is not None:
        say(
            f"cash: {found.expected_cash_usdc:f} USDC by our record, "
            f"{found.venue_cash_usdc:f} USDC at the venue"
        )
    for order in found.foreign_orders:
        say(f"not ours, left alone: open order {order.order_id}")
    for trade in found.foreign_trades:
        say(f"not ours, not booked: trade {trade.trade_id} of order {trade.order_id}")
    if mode is not Mode.LIVE:
        say("there is no account to compare with: only open orders were looked up")
