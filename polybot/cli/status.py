"""The status page: money, limits, what is open, what ran."""

from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from polybot.cli.control import document_of
from polybot.cli.session import Session, console, ledger_now, print_json, say, text_table
from polybot.cli.trades import NOTHING_YET
from polybot.config import RiskSettings
from polybot.domain.accounts import AccountTotals, OrderRecord, Position
from polybot.domain.decisions import Decision, RunRecord
from polybot.domain.modes import Mode
from polybot.ports import Ledger
from polybot.reports.markdown import amount, instant, number, signed

Document = dict[str, Any]

_RUN_COUNT = 5
# More waiting alerts than this are shown as "1000 or more".
_MOST_ALERTS = 1000
# Alerts whose next attempt lies in the future wait as well.
_FAR_AHEAD = timedelta(days=3650)


def show_status(session: Session, *, as_json: bool) -> None:
    """Print the status page, or one JSON document with everything on it."""
    mode = session.settings.mode
    with session.existing_ledger() as ledger:
        document = None if ledger is None else status_of(ledger, mode, session.settings.risk)
    if as_json:
        print_json({"mode": mode, "has_run": document is not None, **(document or {})})
    elif document is None:
        say(NOTHING_YET.format(mode=mode))
    else:
        _print_page(mode, document)


def status_of(ledger: Ledger, mode: Mode, limits: RiskSettings) -> Document:
    """Return everything on the status page; amounts in USDC, instants UTC."""
    now = ledger_now(ledger, mode)
    totals = ledger.totals(at=now)
    waiting = ledger.due_alerts(at=now + _FAR_AHEAD, limit=_MOST_ALERTS)
    return {
        "as_of": now,
        "trading": document_of(ledger.trading_state()),
        "account": _account(totals),
        "today": _today(totals, limits),
        "exposure_usdc": totals.exposure_usdc,
        "max_exposure_usdc": limits.max_exposure_usdc,
        "positions": [_position(position) for position in ledger.positions()],
        "open_orders": [_order(order) for order in ledger.open_orders()],
        "pending_decisions": [_pending(found) for found in ledger.pending_decisions()],
        "recent_runs": [_run(run) for run in ledger.recent_runs(_RUN_COUNT)],
        "alerts_waiting": len(waiting),
    }


def _account(totals: AccountTotals) -> Document:
    high = totals.high_water_usdc
    fall = 1 - totals.equity_usdc / high if high > 0 else Decimal(0)
    return {
        "cash_usdc": totals.cash_usdc,
        "reserved_usdc": totals.reserved_usdc,
        "position_value_usdc": totals.position_value_usdc,
        "equity_usdc": totals.equity_usdc,
        "pnl_usdc": totals.equity_usdc - totals.deposits_usdc,
        "realised_pnl_usdc": totals.realised_pnl_usdc,
        "unrealised_pnl_usdc": totals.position_value_usdc - totals.position_cost_usdc,
        "fees_usdc": totals.fees_usdc,
        "deposits_usdc": totals.deposits_usdc,
        "drawdown": max(fall, Decimal(0)).quantize(Decimal("0.0001")),
    }


def _today(totals: AccountTotals, limits: RiskSettings) -> Document:
    return {
        "day": totals.day.isoformat(),
        "pnl_usdc": totals.equity_usdc - totals.day_opening_equity_usdc,
        "realised_pnl_usdc": totals.day_realised_pnl_usdc,
        "fees_usdc": totals.day_fees_usdc,
        "trades": totals.day_trade_count,
        "max_trades": limits.max_trades_per_day,
        "loss_usdc": totals.day_loss_usdc,
        "max_loss_usdc": limits.max_daily_loss_usdc,
    }


def _position(position: Position) -> Document:
    return {
        "market": position.window.slug,
        "outcome": position.outcome.value,
        "size": position.size,
        "cost_usdc": position.cost_usdc,
        "bid": position.bid,
        "value_usdc": position.value_usdc,
        "ends_at": position.window.end,
    }


def _order(order: OrderRecord) -> Document:
    return {
        "order_id": order.order_id,
        "market": order.window.slug,
        "side": order.side.value,
        "outcome": order.outcome.value,
        "limit_price": order.limit_price,
        "size": order.size,
        "filled_size": order.filled_size,
        "reserved_usdc": order.reserved_usdc,
        "status": order.status.value,
        "reason": order.reason,
        "created_at": order.created_at,
    }


def _pending(decision: Decision) -> Document:
    return {
        "market": decision.window.slug,
        "strategy": decision.strategy,
        "run": decision.run_name,
        "claimed_at": decision.decided_at,
    }


def _run(run: RunRecord) -> Document:
    return asdict(run)


def _print_page(mode: Mode, document: Document) -> None:
    trading, account, today = document["trading"], document["account"], document["today"]
    screen = console()
    say(
        f"{mode}: trading is {trading['state']} since {_when(trading['changed_at'])} UTC, "
        f"by {trading['by']}: {trading['reason']}"
    )
    screen.print(text_table("Account [USDC]", ("", ""), _account_rows(account)))
    screen.print(text_table(f"Today, {today['day']} UTC", ("", ""), _today_rows(document)))
    _print_list(
        "Positions, at the bid",
        ("Market", "Outcome", "Shares", "Cost", "Bid", "Worth"),
        [
            (
                found["market"],
                found["outcome"],
                number(found["size"]),
                amount(found["cost_usdc"]),
                number(found["bid"]),
                amount(found["value_usdc"]),
            )
            for found in document["positions"]
        ],
    )
    _print_list(
        "Open orders",
        ("Market", "Order", "Limit", "Shares", "Status", "Since (UTC)", "Order id"),
        [
            (
                found["market"],
                f"{found['side']} {found['outcome']}",
                number(found["limit_price"]),
                number(found["size"]),
                f"{found['status']} {found['reason']}".strip(),
                _when(found["created_at"]),
                found["order_id"],
            )
            for found in document["open_orders"]
        ],
    )
    _print_list(
        "Decisions that a run has not finished",
        ("Market", "Strategy", "Run", "Since (UTC)"),
        [
            (found["market"], found["strategy"], found["run"], _when(found["claimed_at"]))
            for found in document["pending_decisions"]
        ],
    )
    _print_list(
        "Last runs",
        ("Flow", "Run", "State", "Started (UTC)", "Note"),
        [
            (run["flow"], run["name"], run["state"], _when(run["started_at"]), run["note"])
            for run in document["recent_runs"]
        ],
    )
    waiting = document["alerts_waiting"]
    say(f"alerts waiting: {waiting}" + (" or more" if waiting == _MOST_ALERTS else ""))


def _account_rows(account: Document) -> list[tuple[str, ...]]:
    return [
        ("Cash", amount(account["cash_usdc"])),
        ("Reserved for open orders", amount(account["reserved_usdc"])),
        ("Positions at the bid", amount(account["position_value_usdc"])),
        ("Equity", amount(account["equity_usdc"])),
        ("P&L in total", signed(account["pnl_usdc"])),
        ("– realised, after fees", signed(account["realised_pnl_usdc"])),
        ("– unrealised, at the bid", signed(account["unrealised_pnl_usdc"])),
        ("Fees in total", amount(account["fees_usdc"])),
        ("Deposited", amount(account["deposits_usdc"])),
        ("Drawdown from the high [fraction]", number(account["drawdown"])),
    ]


def _today_rows(document: Document) -> list[tuple[str, ...]]:
    today = document["today"]
    exposure = f"{amount(document['exposure_usdc'])} of at most"
    return [
        ("P&L [USDC]", signed(today["pnl_usdc"])),
        ("– realised, after fees [USDC]", signed(today["realised_pnl_usdc"])),
        ("Fees [USDC]", amount(today["fees_usdc"])),
        ("Trades", f"{today['trades']} of at most {today['max_trades']}"),
        (
            "Loss [USDC]",
            f"{amount(today['loss_usdc'])} of at most {amount(today['max_loss_usdc'])}",
        ),
        ("Exposure [USDC]", f"{exposure} {amount(document['max_exposure_usdc'])}"),
    ]


def _print_list(title: str, headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    if rows:
        console().print(text_table(title, headings, rows))
    else:
        say(f"{title}: none")


def _when(at: datetime) -> str:
    return instant(at)
