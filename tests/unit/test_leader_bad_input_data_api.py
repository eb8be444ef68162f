"""Bad answers about leaders from the Data API: counted by reason, and the next one is read.

The numbers are those of the catalogue of bad inputs.
"""

import gzip
from collections import Counter
from collections.abc import Callable

import pytest
from aiohttp import web

from tests.leader_bad_rows import BAD_PAGES, BAD_ROWS
from tests.leader_listening import listening
from tests.leader_rows import WALLET, api_row, page, transaction
from tests.leader_venue import leader_venue
from tests.peak_memory import SMALL, PeakMemory
from tests.scripted_server import Answer, body


async def test_packed_page_costs_next_to_no_memory() -> None:
    """Row 2: a page that unfolds to 64 MiB is cut at the most that a page may have."""
    packed = gzip.compress(b" " * (64 << 20))
    async with leader_venue() as venue:
        venue.answers["trades"] = [body(packed, headers={"Content-Encoding": "gzip"})] * 3
        venue.trades.append(api_row(4711))
        peak = PeakMemory()
        async with listening(venue, stream=False, every_s=0.01) as ear:
            await ear.rejected("data-api", "answer-too-large")
            await ear.count(1)
            assert ear.health("data-api").rejected["answer-too-large"] == 3
        assert peak.grown_bytes() <= SMALL


@pytest.mark.parametrize("name", BAD_PAGES)
async def test_bad_page_is_counted_and_the_next_one_is_read(name: str) -> None:
    """Rows 4 to 7 and 20: HTML, cut off, empty, errors with status 200."""
    content, reason = BAD_PAGES[name]
    async with leader_venue() as venue:
        venue.answers["trades"] = [body(content)]
        venue.trades.append(api_row(4711))
        async with listening(venue, stream=False, every_s=0.01) as ear:
            await ear.rejected("data-api", reason)
            await ear.count(1)
    assert [one.transaction_hash for one in ear.trades] == [transaction(4711)]


async def test_bad_rows_hide_no_good_ones_and_are_counted_once() -> None:
    """Rows 7 to 16, in pages that are read again and again."""
    names = {"transactionHash": "transaction_hash", "asset": "token_id"}
    names |= {"conditionId": "condition_id", "isCombo": "is_combo"}
    expected: Counter[str] = Counter()
    async with leader_venue() as venue:
        for reason, (field, values) in BAD_ROWS.items():
            for value in values:
                row = api_row(1, **{names.get(field, field): value})
                if field != "timestamp":
                    expected[reason] += 1
                    venue.trades.append(row)
        venue.trades.append(api_row(4711))
        async with listening(venue, stream=False, every_s=0.01) as ear:
            await ear.count(1)
            await venue.signals.count("trades", 4)
            rejected = ear.health("data-api").rejected
    assert [one.transaction_hash for one in ear.trades] == [transaction(4711)]
    assert rejected == dict(expected)


def paging(next_of: Callable[[str], str | None]) -> Answer:
    """Answer with a page that names the next one by the cursor it was asked with."""

    async def answer(request: web.Request) -> web.StreamResponse:
        cursor = request.query.get("cursor", "0")
        found = page([api_row(int(cursor) + 1)], next_cursor=next_of(cursor))
        return await body(found)(request)

    return answer


@pytest.mark.parametrize(
    ("next_of", "most"),
    [
        pytest.param(lambda cursor: str((int(cursor) + 1) % 2), 3, id="loop"),
        pytest.param(lambda cursor: str(int(cursor) + 1), 40, id="a million pages"),
    ],
)
async def test_pages_without_end_are_bounded_and_nothing_of_them_is_told(
    next_of: Callable[[str], str | None], most: int
) -> None:
    """Row 21."""
    async with leader_venue() as venue:
        venue.answers["trades"] = [paging(next_of)] * 40
        async with listening(venue, stream=False) as ear:
            await ear.rejected("data-api", "leader-pages-endless")
            assert ear.told == []
            assert len(venue.asked("trades")) == most


async def test_empty_page_that_promises_more_is_bounded() -> None:
    """Row 21: pages that shrink."""
    async with leader_venue() as venue:
        venue.answers["trades"] = [body(page([], next_cursor="x"))]
        async with listening(venue, stream=False) as ear:
            await ear.rejected("data-api", "leader-pages-endless")


def bomb() -> bytes:
    return gzip.compress(b" " * (64 << 20))


REFUSED: dict[str, tuple[Answer, str]] = {
    "gzip bomb": (body(bomb(), headers={"Content-Encoding": "gzip"}), "answer-too-large"),
    "unknown encoding": (body(b"x", headers={"Content-Encoding": "br"}), "answer-encoding"),
    "longer than a page may be": (body(b" " * ((1 << 20) + 1)), "answer-too-large"),
    "redirect": (
        body(b"", status=302, headers={"Location": "http://127.0.0.1:1/"}),
        "data-api-refused",
    ),
    "away": (body(b"", status=404), "data-api-refused"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_answer_that_breaks_the_rules_is_counted_and_asked_for_again(name: str) -> None:
    """Rows 1, 2 and 22."""
    answer, reason = REFUSED[name]
    async with leader_venue() as venue:
        venue.answers["trades"] = [answer]
        venue.trades.append(api_row(4711))
        async with listening(venue, stream=False, every_s=0.01) as ear:
            await ear.rejected("data-api", reason)
            await ear.count(1)


async def test_rows_of_another_wallet_are_not_the_leaders() -> None:
    """Rows 14 and 19."""
    async with leader_venue() as venue:
        other = api_row(1, proxy_wallet="0x" + 40 * "9")
        venue.answers["trades"] = [body(page([other, api_row(4711)]))]
        async with listening(venue, stream=False) as ear:
            await ear.rejected("data-api", "wallet-not-asked")
            await ear.count(1)
    assert {one.leader for one in ear.trades} == {WALLET}
