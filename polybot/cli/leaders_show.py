"""What the venue knows of a wallet, so that an owner knows whom they follow."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from statistics import median
from typing import Any, Final

from polybot.cli.leaders import leader_document
from polybot.cli.leaders_policy import caps_line, sizing_line
from polybot.cli.leaders_wallets import find_leader, read_wallet
from polybot.cli.session import Session, console, print_json, say, text_table
from polybot.domain.leaders import Leader, LeaderAddress, LeaderPosition, LeaderTrade
from polybot.domain.markets import MarketWindow
from polybot.domain.orders import Side
from polybot.reports.markdown import amount, instant, number, signed

_SHOWN_TRADES: Final = 20
_SHOWN_POSITIONS: Final = 20
_SHOWN_MARKETS: Final = 10
OTHER: Final = "other"
"""Markets of a family that is not copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a wallet trades, as its newest trades show."""

    trades: int
    first_at: datetime | None
    last_at: datetime | None
    trades_per_day: Decimal | None
    """``None`` where all fall into one moment."""
    buys: int
    median_stake_usdc: Decimal | None
    copyable: int
    """Trades in markets that polybot copies."""
    markets: tuple[tuple[str, int], ...]
    """Trades by series, most traded first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Everything that is shown of a wallet."""

    wallet: LeaderAddress
    leader: Leader | None
    """``None``: not followed."""
    trades: tuple[LeaderTrade, ...]
    positions: tuple[LeaderPosition, ...]

    @property
    def habits(self) -> Habits:
        return habits_of(self.trades)


def show_leader(session: Session, text: str, *, limit: int, as_json: bool) -> None:
    """Print a wallet's trades, positions, realised P&L, markets and trade rate.

    Raises:
        PermanentError: Not an address, and no leader's name.
        TransientError: The Data API did not answer.
        DataError: Its answer cannot be read.
    """
    followed = _followed(session)
    known = {one.name: one for one in followed}
    is_name = text in known or not text.startswith(("0x", "0X"))
    wallet = find_leader(followed, text).address if is_name else read_wallet(text)
    leader = next((one for one in followed if one.address == wallet), None)
    trades, positions = asyncio.run(_read(session, wallet, limit))
    found = _Found(wallet=wallet, leader=leader, trades=trades, positions=positions)
    if as_json:
        print_json({"mode": session.settings.mode, **_document(found)})
        return
    _print_head(found)
    _print_positions([one for one in positions if one.is_open])
    _print_trades(trades)


def habits_of(trades: Sequence[LeaderTrade]) -> Habits:
    """Return what a wallet's trades say about it, newest first."""
    if not trades:
        return Habits(
            trades=0,
            first_at=None,
            last_at=None,
            trades_per_day=None,
            buys=0,
            median_stake_usdc=None,
            copyable=0,
            markets=(),
        )
    first, last = min(one.traded_at for one in trades), max(one.traded_at for one in trades)
    days = Decimal((last - first).total_seconds()) / 86_400
    series = Counter(series_of(one.slug) for one in trades)
    return Habits(
        trades=len(trades),
        first_at=first,
        last_at=last,
        trades_per_day=(len(trades) / days).quantize(Decimal("0.1")) if days else None,
        buys=sum(one.side is Side.BUY for one in trades),
        median_stake_usdc=median(one.stake_usdc for one in trades).quantize(Decimal("0.01")),
        copyable=len(trades) - series[OTHER],
        markets=tuple(series.most_common(_SHOWN_MARKETS)),
    )


def series_of(slug: str) -> str:
    """Return a market's series, such as ``btc-15m``; ``other`` for all that is not copied."""
    try:
        return str(MarketWindow.parse_slug(slug).series)
    except ValueError:
        return OTHER


def realised_pnl(positions: Sequence[LeaderPosition]) -> Decimal:
    """Return what the positions have earned so far [USDC], as the venue reckons it."""
    return sum((one.realised_pnl_usdc for one in positions), Decimal(0))


# Inside ----------------------------------------------------------------------------------------


def _followed(session: Session) -> tuple[Leader, ...]:
    from polybot.copy_trading.wanted import copy_ledger

    with session.existing_ledger() as opened:
        return () if opened is None else copy_ledger(opened).leaders()


async def _read(
    session: Session, wallet: LeaderAddress, limit: int
) -> tuple[tuple[LeaderTrade, ...], tuple[LeaderPosition, ...]]:
    from polybot.adapters.polymarket.leader_feed.history import PolymarketLeaderHistory
    from polybot.cli.session import now_of_mode

    settings = session.settings
    now = await now_of_mode(settings)
    history = PolymarketLeaderHistory(
        settings.hosts.data_url, timeout_s=settings.venue.timeout_s, now=lambda: now
    )
    async with history:
        trades = await history.recent_trades(wallet, limit=limit)
        return trades, await history.leader_positions(wallet)


def _document(found: _Found) -> dict[str, Any]:
    habits, positions = found.habits, found.positions
    return {
        "wallet": found.wallet,
        "followed": None if found.leader is None else leader_document(found.leader),
        "realised_pnl_usdc": realised_pnl(positions),
        "open_value_usdc": sum((one.value_usdc for one in positions if one.is_open), Decimal(0)),
        "habits": {
            "trades": habits.trades,
            "first_at": habits.first_at,
            "last_at": habits.last_at,
            "trades_per_day": habits.trades_per_day,
            "buys": habits.buys,
            "median_stake_usdc": habits.median_stake_usdc,
            "copyable": habits.copyable,
            "markets": dict(habits.markets),
        },
        "positions": [_position_document(one) for one in positions],
        "trades": [_trade_document(one) for one in found.trades],
    }


def _position_document(one: LeaderPosition) -> dict[str, Any]:
    return {
        "market": one.slug,
        "title": one.title,
        "outcome": one.outcome,
        "token_id": one.token_id,
        "size": one.size,
        "average_price": one.average_price,
        "value_usdc": one.value_usdc,
        "realised_pnl_usdc": one.realised_pnl_usdc,
        "is_open": one.is_open,
    }


def _trade_document(one: LeaderTrade) -> dict[str, Any]:
    return {
        "key": one.key,
        "traded_at": one.traded_at,
        "market": one.slug,
        "token_id": one.token_id,
        "side": one.side,
        "price": one.price,
        "size": one.size,
        "stake_usdc": one.stake_usdc,
        "transaction": one.transaction_hash,
    }


def _rate(per_day: Decimal) -> str:
    """Return a rate as people say it: tenths only of a few."""
    return f"{per_day:,.0f}" if per_day >= 10 else f"{per_day:.1f}"


def _print_head(found: _Found) -> None:
    wallet, leader, habits, positions = found.wallet, found.leader, found.habits, found.positions
    if leader is None:
        say(f"{wallet}: not followed")
    else:
        say(
            f"{leader.name} ({wallet}): {leader.state}, copied with {sizing_line(leader.policy)}, "
            f"at most {caps_line(leader.policy)} USDC a trade / market / leader / day"
        )
    if not habits.trades or habits.first_at is None or habits.last_at is None:
        say("the venue shows no trade of it")
    else:
        rate = "" if habits.trades_per_day is None else f", {_rate(habits.trades_per_day)} a day"
        say(
            f"{habits.trades} newest trades from {instant(habits.first_at)} to "
            f"{instant(habits.last_at)} UTC{rate}; {habits.buys} BUY, "
            f"{habits.trades - habits.buys} SELL; median stake {amount(habits.median_stake_usdc)} "
            f"USDC; {habits.copyable} in markets that can be copied"
        )
        say("markets: " + ", ".join(f"{name} {count}" for name, count in habits.markets))
    closed = sum(not one.is_open for one in positions)
    say(
        f"realised P&L {signed(realised_pnl(positions))} USDC as the venue reckons it, of "
        f"{len(positions)} positions it shows, {closed} closed"
    )


def _print_positions(positions: Sequence[LeaderPosition]) -> None:
    if not positions:
        say("open positions: none")
        return
    largest = sorted(positions, key=lambda one: one.value_usdc, reverse=True)
    headings = ("Market", "Outcome", "Shares", "Average price", "Worth", "Realised")
    rows: list[tuple[str, ...]] = [
        (
            one.slug,
            one.outcome,
            number(one.size),
            number(one.average_price),
            amount(one.value_usdc),
            signed(one.realised_pnl_usdc),
        )
        for one in largest[:_SHOWN_POSITIONS]
    ]
    title = f"Open positions, {len(rows)} of {len(positions)}, worth in USDC"
    console().print(text_table(title, headings, rows))


def _print_trades(trades: Sequence[LeaderTrade]) -> None:
    if not trades:
        return
    rows: list[tuple[str, ...]] = [
        (
            instant(one.traded_at),
            one.slug,
            one.side,
            number(one.size),
            number(one.price),
            amount(one.stake_usdc.quantize(Decimal("0.01"))),
        )
        for one in trades[:_SHOWN_TRADES]
    ]
    headings = ("Filled (UTC)", "Market", "Side", "Shares", "Price", "Stake")
    title = f"Trades, {len(rows)} of {len(trades)}, newest first"
    console().print(text_table(title, headings, rows))
