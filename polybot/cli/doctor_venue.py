"""The doctor's checks of the venue's public side: endpoints, clock, borders, current markets."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final

from polybot.cli.doctor_endpoints import ask_node, ask_prices, ask_socket, unreachable
from polybot.cli.findings import Examination, Finding, failure, ok, warning
from polybot.domain.modes import Mode
from polybot.errors import PolybotError

if TYPE_CHECKING:
    from polybot.adapters.web import WebClient
    from polybot.domain.markets import Market
    from polybot.ports import Clock

# Below one USDC the venue takes no marketable BUY (docs.polymarket.com, 2026-11-22).
_LEAST_STAKE_USDC: Final = 1


def check_venue(examination: Examination) -> Iterator[Finding]:
    """Ask every endpoint for an answer, the venue for its time, and for the current markets."""
    if examination.offline:
        yield ok("venue", "not asked (--offline)")
        return
    yield from asyncio.run(_ask_venue(examination))


async def _ask_venue(examination: Examination) -> list[Finding]:
    from polybot.adapters.web import WebClient

    settings = examination.session.settings
    hosts = settings.hosts
    async with WebClient(timeout_s=settings.venue.timeout_s) as web:
        asked = [
            _reach(web, "market discovery", f"{hosts.gamma_url}/markets?limit=1"),
            _clock(web, examination),
            _reach(web, "market data", f"{hosts.data_url}/v2/status"),
        ]
        if hosts.geoblock_url is not None:
            asked.append(_borders(web, hosts.geoblock_url, is_live=examination.is_live))
        asked.append(ask_prices(examination, _clock_of))
        timeout_s = settings.venue.timeout_s
        if examination.is_live:
            asked.append(_reach(web, "relayer", _wallet_question(examination)))
            asked.append(ask_socket("user socket", hosts.user_socket_url, timeout_s))
        if examination.is_live and hosts.rpc_url is not None:
            asked.append(ask_node(web, hosts.rpc_url))
        if examination.is_live or examination.is_copying:
            asked.append(ask_socket("market socket", hosts.market_socket_url, timeout_s))
        if examination.is_copying and settings.copying.stream:
            asked.append(ask_socket("trade stream", hosts.stream_url, timeout_s))
        return [*await asyncio.gather(*asked), *await _markets(examination)]


def _wallet_question(examination: Examination) -> str:
    """Return the relayer's question whether a wallet exists: public, and about ours where known."""
    account = examination.account
    wallet = "0x" + "0" * 39 + "1" if account is None else account.funder
    return f"{examination.session.settings.hosts.relayer_url}/deployed?address={wallet}"


async def _reach(web: "WebClient", name: str, url: str) -> Finding:
    try:
        await web.get(url)
    except PolybotError as error:
        return unreachable(name, str(error))
    return ok(name, f"{url} answers")


async def _clock(web: "WebClient", examination: Examination) -> Finding:
    from polybot.adapters.clock import SystemClock

    settings = examination.session.settings
    began = await SystemClock().now()
    try:
        body = await web.get(f"{settings.hosts.clob_url}/time")
    except PolybotError as error:
        return unreachable("order book and clock", str(error))
    ended = await SystemClock().now()
    middle_s = (began.timestamp() + ended.timestamp()) / 2
    most_s = settings.live.max_clock_difference_s
    return clock_finding(body, local_s=middle_s, mode=settings.mode, most_s=most_s)


def clock_finding(body: bytes | None, *, local_s: float, mode: Mode, most_s: float = 2) -> Finding:
    """Compare this machine's clock with the venue's.

    Args:
        body: What ``GET /time`` answered: whole seconds.
        local_s: This machine's time in the middle of the request [s since 1970].
        mode: A sandbox has a time of its own.
        most_s: Beyond this the venue may refuse our signatures: it checks their time stamps, by
            others' reports with a minute's tolerance backwards and none forwards [s].
    """
    name = "order book and clock"
    text = (body or b"").strip()
    if not text.isdigit() or len(text) > 11:
        return failure(name, "/time answered with something else", "look at venue.clob_url")
    if mode is Mode.SANDBOX:
        return ok(name, "answers; a sandbox has its own time")
    # The venue tells whole seconds: any instant within that second is no difference.
    told_s = int(text)
    difference_s = max(told_s - local_s, local_s - (told_s + 1), 0.0)
    detail = f"answers, clocks differ by {difference_s:.1f} s of at most {most_s:g} s"
    if difference_s <= most_s:
        return ok(name, detail)
    return failure(name, detail, "turn on time synchronisation (NTP) on this machine")


async def _borders(web: "WebClient", url: str, *, is_live: bool) -> Finding:
    try:
        body = await web.get(url)
    except PolybotError as error:
        return borders_finding(None, str(error), is_live=is_live)
    return borders_finding(body, "it answered with something else", is_live=is_live)


def borders_finding(body: bytes | None, problem: str, *, is_live: bool) -> Finding:
    """Judge whether the venue takes orders from here; unknown is no.

    Args:
        body: What the geoblock endpoint answered.
        problem: Why there is no answer, or what is wrong where it cannot be read.
        is_live: Real orders need a yes; on paper nobody is asked for one.

    Source: docs.polymarket.com/developers/CLOB/geoblock (2026-11-22).
    """
    name = "geoblock"
    try:
        told = json.loads(body or b"")
        is_blocked = told["blocked"]
    except (ValueError, KeyError, TypeError, RecursionError):
        is_blocked, told = None, {}
    if not isinstance(is_blocked, bool):
        detail = f"not known whether the venue takes orders from here: {problem}"
        mend = "look at the connection and ask again; a machine elsewhere may reach it"
        return failure(name, detail, mend) if is_live else warning(name, detail)
    place = str(told.get("country") or "an unnamed country")[:8]
    if not is_blocked:
        return ok(name, f"the venue takes orders from {place}")
    detail = f"the venue takes no orders from {place}"
    if is_live:
        return failure(name, detail, "do not trade from here; paper and sandbox go on working")
    return warning(name, detail, "live orders would be refused; paper goes on working")


async def _markets(examination: Examination) -> list[Finding]:
    settings = examination.session.settings
    from polybot.adapters.polymarket.market_data import PolymarketData
    from polybot.domain.markets import MarketSeries

    found: list[Finding] = []
    async with _clock_of(examination) as clock:
        hosts = settings.hosts
        async with PolymarketData(
            gamma_url=hosts.gamma_url,
            clob_url=hosts.clob_url,
            data_url=hosts.data_url,
            timeout_s=settings.venue.timeout_s,
            clock=clock,
        ) as data:
            for text in settings.series:
                name = f"market of {text}"
                try:
                    now = await clock.now()
                    market = await data.find_market(MarketSeries.parse(text).window_at(now))
                    found += [
                        _signable(examination, name, market, now),
                        _sizes(examination, market),
                    ]
                    examination.markets.append(market)
                except PolybotError as error:
                    mend = "the bot skips such windows; look whether the venue lists this series"
                    found.append(failure(name, str(error), mend))
    return found


@asynccontextmanager
async def _clock_of(examination: Examination) -> "AsyncIterator[Clock]":
    from polybot.adapters.clock import SandboxClock, SystemClock

    if examination.session.settings.mode is not Mode.SANDBOX:
        yield SystemClock()
        return
    async with SandboxClock(examination.session.settings.sandbox.url) as clock:
        yield clock


def _signable(examination: Examination, name: str, market: "Market", now: datetime) -> Finding:
    """Find the exchange of a market and, in live mode, sign an order for it that is never sent."""
    from polybot.adapters.polymarket.amounts import OrderAmounts
    from polybot.adapters.polymarket.contracts import domain_of
    from polybot.adapters.polymarket.order_fields import OrderFields
    from polybot.adapters.polymarket.signing import order_id_of
    from polybot.domain.markets import Outcome
    from polybot.domain.orders import Side, TimeInForce

    domains = {outcome: domain_of(market, market.token_ids[outcome]) for outcome in Outcome}
    domain = domains[Outcome.UP]
    place = f"{market.slug} is {market.version}, exchange {domain.contract}"
    signer, account = examination.signer, examination.account
    if signer is None or account is None:
        return ok(name, f"{place} (version {domain.version}), which this bot signs for")
    fields = OrderFields(
        domain=domain,
        salt=1,
        maker=account.funder,
        signer=account.order_signer,
        token_id=market.token_ids[Outcome.UP],
        amounts=OrderAmounts(maker=1_000_000, taker=2_000_000),
        side=Side.BUY,
        signature_type=account.signature_type,
        timestamp_ms=int(now.timestamp() * 1000),
        time_in_force=TimeInForce.FAK,
        is_session_key=account.is_session_key,
    )
    is_signed = signer.sign(fields).order_id == order_id_of(fields)
    detail = f"{place} (version {domain.version}), signed for with type {account.signature_type}"
    return ok(name, detail) if is_signed else failure(name, detail, "do not trade: report this")


def _sizes(examination: Examination, market: "Market") -> Finding:
    """Compare the stake with the least that the venue takes."""
    stake = examination.session.settings.risk.stake_usdc
    name = f"stake for {market.window.series}"
    highest = stake / market.min_order_size
    if stake < _LEAST_STAKE_USDC or highest <= market.tick_size:
        needed = max(_LEAST_STAKE_USDC, market.min_order_size * market.tick_size)
        return failure(
            name,
            f"{stake} USDC buys less than the venue takes: {market.min_order_size} shares, "
            f"{_LEAST_STAKE_USDC} USDC",
            f"set risk.stake_usdc to {needed} or more",
        )
    if highest < 1 - market.tick_size:
        return warning(
            name,
            f"{stake} USDC buys the least {market.min_order_size} shares up to a price of "
            f"{highest:.2f} only",
            f"dearer windows are refused; {market.min_order_size} USDC would cover them",
        )
    return ok(name, f"{stake} USDC buys at least {market.min_order_size} shares at every price")
