"""What a reconciliation found, as the UI shows it."""

from polybot.domain.modes import Mode
from polybot.domain.reconciliation import ReconcileVerdict, Reconciliation
from polybot.reports.markdown import amount, escape_markdown, instant, signed, table


def reconciliation_card(found: Reconciliation, *, mode: Mode) -> str:
    """Return a reconciliation as Markdown: the verdict, the figures, every sentence."""
    return "\n\n".join(part for part in _parts(found, mode) if part)


def _parts(found: Reconciliation, mode: Mode) -> list[str]:
    passes = "1 pass" if found.passes == 1 else f"{found.passes} passes"
    return [
        f"# {mode.value}: {found.verdict.value}",
        f"{_MEANINGS[found.verdict]} {passes}, begun {instant(found.started_at)} UTC.",
        table(["What", "Found"], _figures(found)),
        _list("Differences that nothing explains", found.differences),
        _list("Accepted by hand", found.accepted_shares),
        _list("Not told by the venue", found.problems),
        _list("On its way", found.waiting),
        _list("Open orders that are not ours", [order.order_id for order in found.foreign_orders]),
        _list("Trades that are not ours", [trade.trade_id for trade in found.foreign_trades]),
    ]


_MEANINGS = {
    ReconcileVerdict.AGREED: "The venue and our record say the same.",
    ReconcileVerdict.EXPLAINED: "They differ by no more than what is still on its way.",
    ReconcileVerdict.INCOMPLETE: "Not everything could be compared; until then no order goes out.",
    ReconcileVerdict.HALTED: "They differ and nothing explains it: trading is halted.",
    ReconcileVerdict.ORDERS_ONLY: "On paper there is no account to compare; open orders were "
    "looked up.",
}


def _figures(found: Reconciliation) -> list[list[str]]:
    return [
        ["Cash by our record [USDC]", amount(found.expected_cash_usdc)],
        ["Cash at the venue [USDC]", amount(found.venue_cash_usdc)],
        ["Orders looked up", str(found.asked_count)],
        ["Orders closed", str(len(found.closed))],
        ["New fills", str(len(found.new_fills))],
        ["Voided fills", str(len(found.voided_fills))],
        ["Booked for rounded fees [USDC]", signed(found.fee_adjustment_usdc)],
        ["Booked as transferred [USDC]", signed(found.transferred_usdc)],
    ]


def _list(title: str, lines: "tuple[str, ...] | list[str]") -> str:
    if not lines:
        return ""
    items = "\n".join(f"- {escape_markdown(line)}" for line in lines)
    return f"## {title}\n\n{items}"
