"""Cards show what was decided, and outside text stays text."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from polybot.domain.accounts import OrderRecord
from polybot.domain.decisions import BookSummary, Decision, Verdict, trend_key
from polybot.domain.markets import (
    ConditionId,
    FeeSchedule,
    Market,
    MarketSeries,
    MarketVersion,
    MarketWindow,
    Outcome,
    OutcomeTokenId,
)
from polybot.domain.modes import Mode
from polybot.domain.money import price, shares, usdc
from polybot.domain.orders import (
    ExpectedFill,
    Fill,
    FillStatus,
    Liquidity,
    OrderId,
    OrderStatus,
    RiskCheck,
    Side,
    TimeInForce,
    TradeId,
)
from polybot.domain.signals import Direction
from polybot.reports import decision_card, escape_markdown, plain_text, trend_card

WINDOW = MarketWindow(series=MarketSeries.parse("btc-15m"), start_s=1791241200)
HOSTILE = [
    "[x](javascript:alert(1))",
    "![x](https://evil.example/pixel.png)",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "first\n# heading\n\n- item\r\n```\ncode",
    "reversed \u202egnp.exe\u202c and \u200bhidden\u2066",
    "`code` and ``more``",
    "a | b | c \\| d",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J bell\x07",
    "https://evil.example and www.evil.example and me@evil.example",
    "<https://evil.example>",
    "&lt;b&gt; &#60;script&#62;",
    "*bold* _it_ **b** ~~s~~ $x$",
    "lone \ud800 surrogate, null \x00",
    "@everyone =cmd() %s {}",
    "[ref]: https://evil.example",
]


class _Page(HTMLParser):
    """Collects the tags and the text of rendered Markdown."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: set[str] = set()
        self.text = ""
        # Raw HTML is let through here, so that a tag which was not escaped shows up.
        self.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links.update(value or "" for name, value in attrs if name in ("href", "src"))

    def handle_data(self, data: str) -> None:
        self.text += data


def a_decision(**changes: object) -> Decision:
    base = Decision(
        key=trend_key("ema-rsi-macd", WINDOW),
        strategy="ema-rsi-macd",
        window=WINDOW,
        verdict=Verdict.PLACED,
        reason="approved",
        decided_at=WINDOW.start + timedelta(seconds=3),
        run_name=WINDOW.slug,
        direction=Direction.DOWN,
        signal_reason="fast EMA crossed below slow EMA 2 candles ago",
        condition_id=ConditionId("0xc0"),
        order_id=OrderId("paper-1"),
        indicators={"close": 91234.56, "rsi": 41.25, "bars_since_cross": None},
        checks=(
            RiskCheck(name="spread", passed=True, detail="spread 0.02 of at most 0.05"),
            RiskCheck(name="exposure", passed=True, detail="exposure 0 + 5.17 of at most 30 USDC"),
        ),
        book=BookSummary(
            best_bid=Decimal("0.48"),
            best_ask=Decimal("0.5"),
            spread=Decimal("0.02"),
            ask_depth_usdc=Decimal("120.5"),
        ),
        price_to_beat=Decimal("91200.123"),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def an_order(**changes: object) -> OrderRecord:
    base = OrderRecord(
        order_id=OrderId("paper-1"),
        decision_key=trend_key("ema-rsi-macd", WINDOW),
        condition_id=ConditionId("0xc0"),
        token_id=OutcomeTokenId("22"),
        outcome=Outcome.DOWN,
        window=WINDOW,
        side=Side.BUY,
        time_in_force=TimeInForce.FAK,
        limit_price=price("0.51"),
        size=shares("9.8"),
        budget_usdc=usdc("5"),
        reserved_usdc=usdc("0"),
        filled_size=shares("10"),
        filled_cost_usdc=usdc("4.9"),
        fee_usdc=usdc("0.17493"),
        status=OrderStatus.FILLED,
        reason="",
        created_at=WINDOW.start,
        expires_at=None,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def a_fill(**changes: object) -> Fill:
    base = Fill(
        trade_id=TradeId("t1"),
        order_id=OrderId("paper-1"),
        leg=0,
        price=price("0.49"),
        size=shares("10"),
        fee_usdc=usdc("0.17493"),
        liquidity=Liquidity.TAKER,
        status=FillStatus.MATCHED,
        filled_at=WINDOW.start + timedelta(seconds=4),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def a_market(question: str) -> Market:
    return Market(
        condition_id=ConditionId("0xc0"),
        window=WINDOW,
        question=question,
        version=MarketVersion.V2,
        token_ids={Outcome.UP: OutcomeTokenId("11"), Outcome.DOWN: OutcomeTokenId("22")},
        tick_size=Decimal("0.01"),
        min_order_size=shares("5"),
        fees=FeeSchedule(rate=Decimal("0.07"), exponent=1),
        is_accepting_orders=True,
        is_closed=False,
        is_negative_risk=False,
        twap_lookback_s=60,
        price_to_beat=None,
        fetched_at=datetime(2026, 10, 6, tzinfo=UTC),
    )


EXPECTED = ExpectedFill(
    size=shares("10"),
    average_price=price("0.49"),
    cost_usdc=usdc("4.9"),
    fee_usdc=usdc("0.17493"),
    half_spread_usdc=usdc("0.1"),
    break_even=Decimal("0.507493"),
)


@pytest.mark.parametrize("text", HOSTILE)
def test_escaped_text_is_shown_literally(text: str) -> None:
    """A real Markdown parser finds one paragraph of plain text, equal to the cleaned input."""
    page = _Page(f"Title: {escape_markdown(text)}")
    assert page.tags == {"p"}
    assert page.text.strip().replace("\u200b", "") == f"Title: {plain_text(text)}"


@pytest.mark.parametrize("text", HOSTILE)
def test_escaped_text_stays_in_its_table_cell(text: str) -> None:
    """A hostile title neither adds columns nor ends the table."""
    card = decision_card(
        a_decision(reason=text, signal_reason=text), mode=Mode.PAPER, market=a_market(text)
    )
    page = _Page(card)
    assert page.tags <= {"h2", "h3", "p", "strong", "a", *_TABLE_TAGS}
    assert page.links == {f"https://polymarket.com/event/{WINDOW.slug}"}
    assert page.text.replace("\u200b", "").count(plain_text(text)) >= 3


_TABLE_TAGS = {"table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize("text", ["https://evil.example", "WWW.evil.example", "a@evil.example"])
def test_bare_addresses_do_not_become_links(text: str) -> None:
    """Renderers that link bare addresses find a zero-width space in them."""
    shown = _Page(escape_markdown(text)).text.strip()
    assert "\u200b" in shown
    assert shown.replace("\u200b", "") == text


def test_long_text_is_cut() -> None:
    """A title of a megabyte costs one line."""
    assert len(plain_text("x" * 1_000_000, limit=50)) == 50
    assert plain_text("x" * 51, limit=50).endswith("…")
    assert plain_text("x" * 50, limit=50) == "x" * 50


def test_terminal_sequences_leave_nothing_behind() -> None:
    """Colours and titles are removed as a whole."""
    assert plain_text("\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J end") == "red end"


def test_card_shows_what_was_decided() -> None:
    """Window, direction, verdict, indicators, checks, book, expected cost and fill are there."""
    card = decision_card(
        a_decision(),
        mode=Mode.PAPER,
        order=an_order(),
        fills=(a_fill(),),
        expected=EXPECTED,
        market=a_market("Bitcoin Up or Down"),
    )
    text = _Page(card).text
    assert card.startswith(
        "## btc-15m 2026-10-05 23:00–23:15 UTC: DOWN, bought 10 Down at 0.49\n"
    ), card.splitlines()[0]
    for part in (
        "Bitcoin Up or Down",
        "91200.123",
        "fast EMA crossed below slow EMA 2 candles ago",
        "91234.56",
        "never",
        "every check passed",
        "spread 0.02 of at most 0.05",
        "120.50",
        "0.5075",
        "0.17493",
        "paper-1",
        "taker",
    ):
        assert part in text, part


def test_card_of_a_refusal_names_the_failed_checks() -> None:
    """One failed check of two is counted and marked."""
    checks = (
        RiskCheck(name="spread", passed=False, detail="spread 0.09 of at most 0.05"),
        RiskCheck(name="cash", passed=True, detail="cash 995 of at least 50 USDC"),
    )
    card = decision_card(
        a_decision(verdict=Verdict.REFUSED, reason="spread too wide", checks=checks, order_id=None),
        mode=Mode.PAPER,
    )
    assert "UTC: DOWN, refused\n" in card
    assert "1 of 2 checks failed" in card
    assert "| ✗ | spread | spread 0.09 of at most 0.05 |" in card
    assert "| ✓ | cash |" in card
    assert "### Order" not in card


def test_card_of_a_skip_needs_nothing_but_the_decision() -> None:
    """A window without data still has a page that says why."""
    bare = Decision(
        key=trend_key("s", WINDOW),
        strategy="s",
        window=WINDOW,
        verdict=Verdict.SKIPPED,
        reason="candles-stale",
        decided_at=WINDOW.start,
        run_name="run",
    )
    card = decision_card(bare, mode=Mode.SANDBOX)
    assert "UTC: skipped" in card
    assert "candles-stale" in card
    assert "not known yet" in card
    assert "polymarket.com" not in card, "a sandbox market has no page on the venue"


@pytest.mark.parametrize("status", list(OrderStatus))
def test_headline_tells_every_fate_of_an_unfilled_order(status: OrderStatus) -> None:
    """No order state is without words, and none claims a fill."""
    order = an_order(status=status, filled_size=shares("0"), filled_cost_usdc=usdc("0"))
    first_line = decision_card(a_decision(), mode=Mode.PAPER, order=order).splitlines()[0]
    assert "order" in first_line
    assert "bought" not in first_line


def test_void_fill_is_marked() -> None:
    """A fill that failed on the chain does not look like one that counts."""
    card = decision_card(
        a_decision(), mode=Mode.LIVE, order=an_order(), fills=(a_fill(status=FillStatus.FAILED),)
    )
    assert "| void |" in card


def test_trend_card_joins_series() -> None:
    """Every series of a run is on the page, apart from each other."""
    other = MarketWindow(series=MarketSeries.parse("eth-15m"), start_s=WINDOW.start_s)
    cards = [
        decision_card(a_decision(window=window), mode=Mode.PAPER) for window in (WINDOW, other)
    ]
    page = _Page(trend_card(cards))
    assert "hr" in page.tags
    assert "btc-15m" in page.text
    assert "eth-15m" in page.text
    assert "Nothing" in trend_card([])
