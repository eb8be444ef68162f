"""Which tests hold the feeds and the copy loop to each row of the catalogue of bad inputs.

Rows 1 to 31, as far as they concern leaders, their stream, the Data API, a node and order books.
A row names files and the tests in them; a test that is renamed or lost fails here.
"""

import sys
from collections import Counter

import pytest

from tests.leader_bad_rows import BAD_FRAMES, BAD_PAGES, BAD_ROWS
from tests.unit import (
    bad_account_answers,
    bad_answers,
    test_book_feed_gaps,
    test_leader_bad_input,
    test_leader_bad_input_data_api,
)
from tests.unit.test_bad_input_index import functions_of

ROWS = tuple(range(1, 32))

LEADERS = "unit/test_leader_bad_input.py::"
DATA_API = "unit/test_leader_bad_input_data_api.py::"
FRAMES = f"{LEADERS}test_every_bad_frame_is_counted_and_the_connection_goes_on"
TRADED = "unit/test_bad_input_copying.py::test_nothing_is_traded_on_any_bad_frame"
PAGE_ROWS = f"{DATA_API}test_bad_rows_hide_no_good_ones_and_are_counted_once"
PAGES = f"{DATA_API}test_bad_page_is_counted_and_the_next_one_is_read"
ANSWERS = f"{DATA_API}test_answer_that_breaks_the_rules_is_counted_and_asked_for_again"
WIRE = "unit/test_leader_wire.py::"
FUZZ = "unit/test_leader_wire_fuzz.py::"
FEED = "unit/test_leader_feed.py::"
FEED_CHAIN = "unit/test_leader_feed_chain.py::"
FEED_DATA_API = "unit/test_leader_feed_data_api.py::"
LOGS = f"{FEED_CHAIN}test_bad_logs_are_counted_and_the_socket_goes_on"
BOOKS = "unit/test_book_feed.py::"
BOOK_GAPS = "unit/test_book_feed_gaps.py::"
GAPS = f"{BOOK_GAPS}test_book_is_unknown_once_something_was_missed"
NOISE = f"{BOOK_GAPS}test_noise_is_counted_and_changes_nothing"
BOOK_ANSWERS = f"{BOOKS}test_bad_answers_are_counted_and_prove_nothing"
IDENTITY = "unit/test_leader_identity.py::"
DECISIONS = "unit/test_copy_decisions.py::"
SIZES = "unit/test_copy_decisions_sizes.py::"
EXITS = "unit/test_copy_decisions_exits.py::"
LOOP = "unit/test_copy_loop.py::"
LOOP_LEADERS = "unit/test_copy_loop_leaders.py::"
LOOP_ENDS = "unit/test_copy_loop_ends.py::"
CLI = "unit/test_cli_leaders.py::"
WATCH = "unit/test_feed_watch.py::"
PRICES = "contract/test_prices_bad_candles.py::"

INDEX: dict[int, tuple[str, ...]] = {
    1: (
        f"{LEADERS}test_frame_that_breaks_the_rules_ends_only_its_connection",
        f"{LEADERS}test_bomb_through_the_stream_costs_next_to_no_memory",
        ANSWERS,
        f"{BOOK_GAPS}test_oversize_frame_ends_the_connection_and_the_next_one_begins_anew",
    ),
    2: (
        f"{LEADERS}test_frame_that_breaks_the_rules_ends_only_its_connection",
        f"{LEADERS}test_compression_is_not_even_offered",
        f"{LEADERS}test_bomb_through_the_stream_costs_next_to_no_memory",
        f"{DATA_API}test_packed_page_costs_next_to_no_memory",
        ANSWERS,
        f"{BOOK_GAPS}test_compressed_bomb_is_never_unpacked",
    ),
    3: (
        f"{LEADERS}test_million_small_frames_are_shed_and_the_followed_trade_is_told",
        f"{LEADERS}test_followed_trades_inside_a_flood_are_never_shed",
        f"{BOOK_GAPS}test_flood_of_small_frames_hides_no_change_and_starves_nobody",
    ),
    4: (FRAMES, TRADED, PAGES, NOISE, f"{LEADERS}test_binary_frames_are_counted"),
    5: (
        f"{LEADERS}test_frame_of_deep_or_endless_lists_is_refused_at_once",
        FRAMES,
        TRADED,
        NOISE,
        f"{BOOK_GAPS}test_million_elements_are_read_and_rejected_as_one_frame",
    ),
    6: (FRAMES, TRADED, PAGES, NOISE),
    7: (
        FRAMES,
        TRADED,
        PAGE_ROWS,
        PAGES,
        GAPS,
        LOGS,
        f"{WIRE}test_missing_field_is_not_taken",
        f"{FUZZ}test_any_value_in_any_field_is_a_trade_or_has_a_name",
        f"{FUZZ}test_any_log_is_a_fill_or_has_a_name",
    ),
    8: (FRAMES, TRADED, PAGE_ROWS, GAPS, NOISE),
    9: (FRAMES, TRADED, PAGE_ROWS, GAPS, f"{BOOKS}test_tick_change_lets_finer_prices_in"),
    10: (FRAMES, TRADED, PAGE_ROWS, GAPS),
    11: (FRAMES, TRADED, PAGE_ROWS, GAPS),
    12: (
        FRAMES,
        TRADED,
        PAGE_ROWS,
        NOISE,
        f"{DECISIONS}test_token_of_another_market_is_skipped",
        f"{DECISIONS}test_market_of_another_family_is_told_apart_from_one_unknown",
    ),
    13: (FRAMES, TRADED, PAGE_ROWS, LOGS),
    14: (
        FRAMES,
        TRADED,
        f"{WIRE}test_near_miss_of_an_address_is_nobody_we_follow",
        f"{WIRE}test_address_as_sent_is_the_address_in_lower_case",
        f"{DATA_API}test_rows_of_another_wallet_are_not_the_leaders",
        f"{CLI}test_near_miss_of_an_address_is_refused_with_the_reason",
    ),
    15: (FRAMES, TRADED, PAGE_ROWS, GAPS),
    16: (
        FRAMES,
        TRADED,
        GAPS,
        f"{WIRE}test_second_is_read_as_it_is_up_to_a_minute_ahead",
        f"{DECISIONS}test_age_limit_is_exact_and_counts_from_the_leaders_fill",
        f"{DECISIONS}test_fill_far_in_the_future_is_never_traded",
    ),
    17: (
        f"{LEADERS}test_same_frame_ten_thousand_times_is_one_trade",
        f"{LEADERS}test_contradiction_between_sources_is_reported_and_not_told",
        f"{IDENTITY}test_several_fills_of_one_transaction_are_several",
        f"{IDENTITY}test_other_size_from_another_source_is_held_and_reported_once",
        f"{IDENTITY}test_same_identity_with_another_market_or_time_is_reported_once",
        f"{WATCH}test_quarantined_contradiction_is_in_the_status_and_rings",
        f"{LOOP}test_trade_is_copied_once_whatever_feeds_repeat",
    ),
    18: (
        f"{LOOP_ENDS}test_trade_that_failed_later_is_flagged",
        "contract/test_copy_ledger_holdings.py::"
        "test_failed_leader_trade_is_flagged_once_and_leaves_his_holding",
        f"{FEED_CHAIN}test_removed_log_is_reported_and_its_return_is_not_told",
    ),
    19: (
        f"{DATA_API}test_rows_of_another_wallet_are_not_the_leaders",
        f"{LOOP}test_strangers_are_not_recorded",
    ),
    20: (FRAMES, TRADED, PAGES, NOISE, BOOK_ANSWERS),
    21: (
        f"{DATA_API}test_pages_without_end_are_bounded_and_nothing_of_them_is_told",
        f"{DATA_API}test_empty_page_that_promises_more_is_bounded",
        f"{FEED_DATA_API}test_row_that_moved_to_the_next_page_is_no_repeat",
    ),
    22: (ANSWERS, f"{FEED}test_redirect_of_the_stream_leads_nowhere"),
    23: (f"{FEED_DATA_API}test_request_for_rest_is_heeded_within_reason",),
    24: (
        "unit/test_venue_clock.py::test_two_seconds_are_the_most",
        "unit/test_venue_clock.py::"
        "test_clock_that_goes_wrong_later_signs_nothing_until_it_is_right",
        "unit/test_venue_clock.py::"
        "test_clock_that_is_set_between_two_comparisons_is_noticed_at_once",
        "unit/test_live_gate.py::test_nothing_is_signed_while_the_clock_is_off",
    ),
    25: (
        f"{DECISIONS}test_market_that_cannot_be_traded_is_skipped",
        f"{DECISIONS}test_market_of_another_family_is_told_apart_from_one_unknown",
        f"{DECISIONS}test_time_left_obeys_the_later_of_policy_and_risk",
    ),
    26: (
        f"{SIZES}test_entry_needs_a_fresh_two_sided_book_near_the_leaders_price",
        f"{SIZES}test_tighter_of_the_two_price_guards_holds",
        f"{EXITS}test_exit_is_tried_whatever_the_book",
    ),
    27: (
        f"{DECISIONS}test_buy_close_to_a_sale_of_the_same_token_is_a_flip",
        f"{LOOP_LEADERS}test_one_copy_too_many_throttles_until_a_person_lifts_it",
        "unit/test_copy_restart.py::test_copies_of_earlier_runs_count_toward_the_throttle",
        "unit/test_copy_restart.py::test_flip_is_seen_across_a_restart",
    ),
    28: (
        f"{CLI}test_own_wallet_is_refused",
        f"{CLI}test_wallets_of_our_own_key_are_refused",
        f"{LOOP_LEADERS}test_our_own_wallet_is_refused",
        f"{LOOP_LEADERS}test_leader_who_follows_us_is_throttled",
    ),
    29: (
        f"{LOOP_ENDS}test_trade_that_failed_later_is_flagged",
        "contract/test_copy_ledger_holdings.py::"
        "test_failed_leader_trade_is_flagged_once_and_leaves_his_holding",
    ),
    30: (
        f"{DECISIONS}test_ten_thousand_trades_in_a_second_are_stopped_by_the_throttle",
        f"{LOOP_LEADERS}test_one_copy_too_many_throttles_until_a_person_lifts_it",
    ),
    31: (
        f"{PRICES}test_broken_candles_make_no_signal",
        f"{PRICES}test_close_that_jumps_is_implausible",
        f"{PRICES}test_candles_that_are_not_closed_are_not_asked_for",
        "unit/test_indicators.py::test_flat_candles_are_refused",
    ),
}


def test_every_row_has_a_test() -> None:
    """No row is forgotten, none is there that the catalogue does not have."""
    assert tuple(sorted(INDEX)) == ROWS
    assert all(INDEX.values())


@pytest.mark.parametrize("row", ROWS)
def test_every_named_test_exists(row: int) -> None:
    for name in INDEX[row]:
        path, _, function = name.partition("::")
        assert function in functions_of(path), name


def cases() -> Counter[str]:
    """Return how many cases each corpus of bad input holds; every one is told by its reason."""
    fields = sum(len(values) for _, values in BAD_ROWS.values())
    times = len(BAD_ROWS["time-malformed"][1]) + len(BAD_ROWS["time-in-future"][1])
    return Counter(
        {
            "fields of a row, through the stream": fields,
            # The time decides which page a row is on, so it is not changed there.
            "fields of a row, through the Data API": fields - times,
            "frames": len(BAD_FRAMES),
            "pages": len(BAD_PAGES),
            "answers": len(test_leader_bad_input_data_api.REFUSED),
            "hostile texts": len(test_leader_bad_input.HOSTILE_TEXTS),
            "book events": len(test_book_feed_gaps.GAPS),
            "book noise": len(test_book_feed_gaps.NOISE),
        }
    )


def test_corpora_hold_enough_cases(capsys: pytest.CaptureFixture[str]) -> None:
    """The counts are shown; corpora that shrink are noticed. The catalogue wants 400 in all."""
    found = cases()
    orders = len(bad_answers.CASES) + len(bad_account_answers.CASES)
    lines = [f"{count:4} {name}" for name, count in found.items()]
    lines.append(f"{found.total():4} cases of bad input about leaders and books")
    lines.append(f"{found.total() + orders:4} with those about orders and the account")
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert found.total() >= 290
    assert found.total() + orders >= 400


# By what a corpus calls them, or by their value, each kind of bad value is among the cases.
KINDS: dict[int, tuple[str, ...]] = {
    4: ("broken text", "byte order mark", "half a pair", "a\x00b"),
    5: ("nested too deeply",),
    6: ("price twice", "wallet twice", "key twice"),
    7: ("null", "object for list", "None", "{}", "[]", "True"),
    8: ("NaN", "Infinity", "1e400", "below float", "negative zero", "-0.0", "1e-40"),
    9: ("price 0", "price 1", "price -0.1", "price 1.5", "off the tick"),
    10: ("size 0", "size -1", "size 1e+30", "size 4.3300001"),
    11: ("１", "1_000", "0x1", "+0.5", " 0.5", "99999", "٣"),
    12: (str(1 << 256), "asset -5", "a token never watched"),
    14: ("0X", "two wallets"),
    15: ("side buy", "side BUY ", "ＢＵＹ", "HOLD"),
    16: ("timestamp 0", "timestamp -1", "2026-07-26", "4000000000", "stamp in seconds"),
    20: ("page of a proxy", "empty", "cut off", "error"),
    21: ("endless cursor", "more without cursor"),
}


@pytest.mark.parametrize(
    ("row", "kind"), [(row, kind) for row, kinds in KINDS.items() for kind in kinds]
)
def test_every_kind_of_a_row_is_among_the_cases(row: int, kind: str) -> None:
    names = [f"{field} {value}" for field, values in BAD_ROWS.values() for value in values]
    names += [
        *BAD_FRAMES,
        TRADED,
        *BAD_PAGES,
        *test_book_feed_gaps.GAPS,
        *test_book_feed_gaps.NOISE,
    ]
    assert any(kind in name for name in names), f"row {row}"
