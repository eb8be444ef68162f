"""Which tests hold the bot to each row of the catalogue of bad inputs that concerns live orders.

A row names files and the tests in them; a test that is renamed or lost fails here.
"""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.unit import bad_account_answers, bad_answers, test_bad_account_answers

TESTS = Path(__file__).resolve().parents[1]
ROWS = (*range(1, 25), *range(32, 38))

CORPUS = "unit/test_bad_answers.py::test_bad_answer_is_refused_with_its_reason"
ACCOUNT = "unit/test_bad_account_answers.py::test_bad_account_answer_is_refused_with_its_reason"
FRAMES = "unit/test_bad_account_answers.py::test_bad_frame_tells_nothing_but_to_read_again"
ANSWERS = (
    "unit/test_bad_account_answers.py::"
    "test_order_answer_that_cannot_be_read_leaves_the_order_unknown"
)
BOOKS = "unit/test_bad_account_books.py::test_bad_answer_changes_no_book_and_allows_no_order"
BY_VALUE = (CORPUS, ACCOUNT, FRAMES, BOOKS)
LIVE = "unit/test_bad_input_live.py::"
FLOWS = "flows/test_live.py::"
TLS = "contract/test_tls.py::"

INDEX: dict[int, tuple[str, ...]] = {
    1: (
        "unit/test_user_stream.py::test_oversized_frame_ends_the_connection",
        "contract/test_web.py::test_one_byte_more_is_refused",
        "unit/test_polymarket_order_wire.py::test_body_that_cannot_be_read_is_unknown",
    ),
    2: (
        "contract/test_web.py::test_gzip_bomb_never_unfolds",
        f"{LIVE}test_compressed_rubbish_instead_of_an_answer_leaves_the_order_unknown",
        f"{LIVE}test_compressed_trades_are_bounded",
        f"{LIVE}test_frames_are_not_taken_compressed",
    ),
    3: (f"{LIVE}test_flood_of_noise_hides_no_order_of_ours",),
    4: (*BY_VALUE, ANSWERS),
    5: (
        "unit/test_bad_answers.py::test_a_megabyte_of_nonsense_is_refused_at_once",
        *BY_VALUE,
        ANSWERS,
    ),
    6: (*BY_VALUE, ANSWERS),
    7: (
        *BY_VALUE,
        ANSWERS,
        "unit/test_polymarket_order_wire.py::test_missing_field_is_unknown",
        "unit/test_polymarket_order_wire.py::test_what_proves_nothing_is_unknown",
    ),
    8: (*BY_VALUE, ANSWERS),
    9: (
        *BY_VALUE,
        "unit/test_polymarket_amounts.py::test_unknown_tick_is_refused",
        "unit/test_polymarket_amounts.py::test_every_price_of_every_tick_is_signed_as_itself",
    ),
    10: (
        *BY_VALUE,
        "unit/test_polymarket_amounts.py::test_amounts_that_round_to_nothing_are_refused",
        "contract/test_exchange.py::test_size_below_the_minimum_is_rejected",
    ),
    11: BY_VALUE,
    12: (
        *BY_VALUE,
        "unit/test_polymarket_signing_fields.py::test_token_of_the_other_version_is_refused",
        "unit/test_reconciliation.py::test_trade_of_our_order_in_another_token_is_not_booked",
    ),
    13: (
        "unit/test_polymarket_amounts.py::test_random_orders_keep_every_rule_on_every_tick",
        "unit/test_polymarket_signing_fields.py::test_fields_that_cannot_be_sent_are_refused",
        ACCOUNT,
    ),
    14: (
        "unit/test_config_account.py::test_a_funder_that_is_no_address_is_refused_with_what_is_wrong",
        "unit/test_polymarket_signing.py::test_malformed_addresses_are_refused",
        "unit/test_keystore.py::test_an_account_that_does_not_fit_together_is_refused",
    ),
    15: BY_VALUE,
    16: (
        *BY_VALUE,
        f"{LIVE}test_forged_time_trades_no_window",
        f"{LIVE}test_absurd_due_time_names_a_window_that_is_refused",
    ),
    17: (
        "unit/test_account_follow.py::test_trade_is_read_and_booked_once_however_often_it_is_heard",
        "unit/test_account_wire.py::test_page_joins_what_it_repeats",
        "contract/test_ledger_orders.py::test_repeated_report_changes_nothing",
        f"{LIVE}test_one_trade_with_two_contents_is_never_two_trades",
        "unit/test_reconciliation.py::test_trade_that_changes_is_kept_as_it_was_and_told_once",
    ),
    18: (
        "unit/test_reconciliation.py::test_statuses_only_go_forward",
        "unit/test_reconciliation.py::"
        "test_confirmed_trade_that_fails_halts_until_a_person_has_looked",
        "unit/test_reconciliation.py::test_failed_trade_that_is_confirmed_after_all_halts_once",
        "contract/test_ledger_orders.py::test_fill_status_moves_forward_only",
        "contract/test_ledger_orders.py::test_status_never_goes_back",
    ),
    19: (
        "unit/test_reconciliation.py::test_strangers_are_listed_and_neither_touched_nor_booked",
        "contract/test_ledger_orders.py::test_report_about_a_foreign_order_is_refused",
        f"{LIVE}test_trade_of_another_wallet_is_not_ours",
    ),
    20: (
        ANSWERS,
        "unit/test_polymarket_order_wire.py::test_what_proves_nothing_is_unknown",
        "unit/test_polymarket_order_wire.py::test_acceptance_cut_at_any_byte_is_unknown",
        "unit/test_polymarket_order_wire.py::test_answer_about_another_order_is_told_apart",
        "unit/test_execution.py::test_answer_about_another_order_halts_trading",
    ),
    21: (
        "contract/test_market_data.py::test_cursor_loop_is_noticed",
        f"{LIVE}test_cursor_that_comes_again_ends_the_reading",
        f"{LIVE}test_endless_pages_of_the_account_are_bounded",
    ),
    22: (
        "contract/test_web.py::test_redirects_are_refused",
        "contract/test_web.py::test_environment_proxies_are_ignored",
        "unit/test_config.py::test_values_that_make_no_sense_are_refused",
        "unit/test_config.py::test_a_socket_is_encrypted_or_on_this_machine",
        f"{LIVE}test_order_that_is_redirected_goes_nowhere_else",
        f"{LIVE}test_private_read_that_is_redirected_goes_nowhere_else",
        f"{TLS}test_certificate_that_nobody_vouches_for_is_refused",
        f"{TLS}test_order_to_an_impostor_never_leaves",
        f"{TLS}test_impostor_is_shown_no_credentials",
        f"{TLS}test_socket_of_an_impostor_is_shown_no_credentials",
        f"{TLS}test_encrypted_venue_that_points_elsewhere_is_not_followed",
        f"{TLS}test_proxy_of_the_environment_sees_neither_order_nor_credentials",
    ),
    23: (
        "unit/test_polymarket_order_wire_refused.py::test_retry_after_is_honoured_and_clamped",
        "contract/test_web.py::test_wait_is_clamped_whatever_the_server_asks",
    ),
    24: (
        "unit/test_cli_doctor.py::test_clock_may_differ_by_two_seconds",
        "unit/test_live_gate.py::test_each_missing_thing_refuses_and_is_named",
        f"{FLOWS}test_clock_that_is_off_sends_no_order",
        "sandbox/test_venue_faults.py::test_a_skewed_clock_refuses_what_was_signed_by_the_true_one",
    ),
    32: (
        "unit/test_reports.py::test_escaped_text_is_shown_literally",
        "unit/test_logs.py::test_hostile_text_stays_on_one_line",
        "unit/test_trade_log_export.py::test_csv_text_is_never_a_formula",
        "unit/test_alerts.py::test_any_text_is_made_harmless_and_cleaning_twice_changes_nothing",
        "unit/test_polymarket_order_wire.py::test_reasons_are_short_printable_lines",
    ),
    33: (
        "unit/test_config.py::test_values_that_make_no_sense_are_refused",
        "unit/test_config_files.py::test_bad_yaml_is_one_clear_sentence",
        "unit/test_config_files.py::test_a_yaml_bomb_costs_nothing",
        "unit/test_config.py::test_everything_wrong_is_listed_at_once",
        "unit/test_config_account.py::test_account_settings_that_contradict_each_other_are_refused",
    ),
    34: (
        "unit/test_polymarket_signing_key.py::test_malformed_key_is_refused_without_being_repeated",
        "unit/test_keystore.py::test_what_is_no_key_is_refused_and_never_repeated",
        "unit/test_config_account.py::test_secrets_in_the_wrong_place_are_never_shown",
    ),
    35: (
        "contract/test_ledger_opening.py::test_damaged_ledger_is_refused_and_kept",
        "contract/test_ledger_opening.py::test_newer_ledger_is_refused_and_kept",
        "contract/test_ledger_opening.py::test_read_only_ledger_is_refused",
        "contract/test_ledger_opening.py::test_full_disk_is_permanent_and_loses_nothing",
        "contract/test_ledger_file_systems.py::"
        "test_ledger_on_a_share_is_refused_before_anything_is_written",
        "contract/test_ledger_opening.py::test_lock_beyond_the_time_out_is_transient",
        "contract/test_ledger_processes.py::test_one_decision_has_one_order_whoever_races",
    ),
    36: (
        f"{LIVE}test_forged_series_is_no_series",
        f"{LIVE}test_forged_time_trades_no_window",
        "contract/test_ledger_decisions.py::test_second_claim_of_a_key_returns_the_first",
        "unit/test_execution.py::test_second_placement_of_a_decision_sends_nothing",
        "unit/test_live_gate_bot.py::test_a_live_bot_without_the_second_word_may_not_trade",
    ),
    37: (
        f"{LIVE}test_signal_that_ends_the_process_leaves_the_order_on_record",
        "unit/test_shutdown.py::test_order_of_a_process_that_was_stopped_is_found_again",
        "contract/test_ledger_processes.py::"
        "test_killed_process_leaves_every_finished_step_and_no_half_one",
        "contract/test_clock.py::test_system_clock_notices_a_clock_that_is_set_back",
        f"{FLOWS}test_suspend_before_the_decision_trades_nothing",
        f"{FLOWS}test_suspend_between_approval_and_order_trades_nothing",
        f"{FLOWS}test_suspend_between_record_and_request_sends_nothing",
        f"{LIVE}test_forged_time_trades_no_window",
    ),
}


@cache
def functions_of(path: str) -> frozenset[str]:
    """Return the test functions of a file, without importing it."""
    tree = ast.parse((TESTS / path).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, kinds))


def test_every_row_has_a_test() -> None:
    """No row is forgotten, none is there that the catalogue does not have."""
    assert tuple(sorted(INDEX)) == ROWS
    assert all(INDEX.values())


@pytest.mark.parametrize("row", ROWS)
def test_every_named_test_exists(row: int) -> None:
    for name in INDEX[row]:
        path, _, function = name.partition("::")
        assert function in functions_of(path), name


def test_corpora_hold_enough_cases(capsys: pytest.CaptureFixture[str]) -> None:
    """The counts are shown; corpora that shrink are noticed. Live orders want 200 in all."""
    found = {
        "answers about markets, books, trades and resolutions": len(bad_answers.CASES),
        "answers about the account": len(bad_account_answers.CASES),
        "frames of the user socket": len(bad_account_answers.FRAMES),
        "answers to an order, by HTTP status": 4 * len(test_bad_account_answers.UNREAD),
    }
    lines = [f"{count:4} {name}" for name, count in found.items()]
    lines.append(f"{sum(found.values()):4} cases of bad input on the way of a live order")
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert sum(found.values()) >= 1300


# By what its cases are called, each kind of bad value is in the corpora that a row points to.
KINDS: dict[int, tuple[str, ...]] = {
    4: ("bad-utf8", "nul-after", "bom", "utf-16"),
    5: ("nested-too-deep", "deep-in-skipped-field"),
    6: ("duplicate-key", "duplicate-key-inside"),
    7: ("missing", "null", "is-[]", "is-true"),
    8: ("nan", "infinity", "1e400", "1e-400", "minus-zero"),
    9: ("price-zero", "price-one", "above-one", "off-tick", "after-tick-change"),
    10: ("size-zero", "1e30", "fine", "negative-fraction"),
    11: ("underscore", "fullwidth", "arabic", "plus", "hex", "5000-digits", "space"),
    12: ("2-to-the-256", "79-digits", "asset_id-negative"),
    13: ("balance-1e30", "balance-5000-digits"),
    15: ("side-lower-case", "side-trailing-space", "side-fullwidth", "side-unknown"),
    16: ("time-in-seconds", "microseconds", "from-the-future", "year-million", "of-1970"),
}


@pytest.mark.parametrize(
    ("row", "kind"), [(row, kind) for row, kinds in KINDS.items() for kind in kinds]
)
def test_every_kind_of_a_row_is_in_a_corpus(row: int, kind: str) -> None:
    names = [
        *(case[0] for case in bad_answers.CASES),
        *(case[0] for case in bad_account_answers.CASES),
        *(frame[0] for frame in bad_account_answers.FRAMES),
    ]
    assert any(kind in name for name in names), f"row {row}"
