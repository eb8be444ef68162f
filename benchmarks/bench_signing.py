"""How long an order takes from an approved intent to the bytes of its request.

Ours against both official clients, each building, hashing and signing the same market BUY: as
installed (elliptic curve in pure Python) and with ``coincurve``. The clients do less: neither
gives the order's id, and their amounts are not exact. All variants take turns inside one run, so
that only the ratios between them matter.

Run: ``python benchmarks/bench_signing.py [--rounds 40]``
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import coincurve
from eth_account import Account
from polymarket._internal.actions.orders import market as unified_market
from polymarket._internal.actions.orders.orders import create_signed_order, create_unsigned_order
from polymarket._internal.actions.orders.post import build_post_order_request
from polymarket._internal.actions.orders.typed_data import (
    build_order_signature,
    build_order_typed_data,
)
from polymarket._internal.actions.orders.types import OrderDraft
from polymarket.types import EvmAddress, HexString
from py_clob_client_v2.clob_types import CreateOrderOptions, MarketOrderArgsV2
from py_clob_client_v2.order_builder.builder import OrderBuilder
from py_clob_client_v2.order_utils import SignatureTypeV2
from py_clob_client_v2.order_utils.model.order_data_v2 import order_to_json_v2
from py_clob_client_v2.signer import Signer

from polybot.adapters.polymarket.contracts import V1_NORMAL
from polybot.adapters.polymarket.keccak import Address, checksum_address
from polybot.adapters.polymarket.order_fields import (
    SignatureType,
    TradingAccount,
    fields_of,
    new_salt,
)
from polybot.adapters.polymarket.order_wire import build_order_body
from polybot.adapters.polymarket.signing import OrderSigner, order_id_of
from polybot.domain.decisions import trend_key
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
from polybot.domain.money import price, shares, usdc
from polybot.domain.orders import Order, Side, TimeInForce

KEY = "0x" + 64 * "2"
OWNER = "00000000-0000-0000-0000-000000000001"
POSITION = "25070934348813416902477876984955073880416401960631253331845590271167412497744"


class _Secret:
    def get_secret_value(self) -> str:
        return KEY


SIGNER = OrderSigner(_Secret())
Variant = Callable[[], Any]


def build_order() -> Order:
    """Return a market BUY of 10 USDC at 0.53."""
    window = MarketWindow(series=MarketSeries(asset="btc", duration="15m"), start_s=1_791_241_200)
    market = Market(
        condition_id=ConditionId("0x" + "c0" * 32),
        window=window,
        question="Bitcoin Up or Down",
        version=MarketVersion.V1,
        token_ids={
            Outcome.UP: OutcomeTokenId(POSITION),
            Outcome.DOWN: OutcomeTokenId("1" + POSITION[1:]),
        },
        tick_size=Decimal("0.01"),
        min_order_size=shares("5"),
        fees=FeeSchedule(rate=Decimal("0.07"), exponent=1),
        is_accepting_orders=True,
        is_closed=False,
        is_negative_risk=False,
        twap_lookback_s=60,
        price_to_beat=None,
        fetched_at=datetime.now(UTC),
    )
    return Order(
        decision_key=trend_key("ema-rsi-macd", window),
        market=market,
        outcome=Outcome.UP,
        side=Side.BUY,
        time_in_force=TimeInForce.FAK,
        limit_price=price("0.53"),
        size=shares("18.8679"),
        budget_usdc=usdc("10"),
    )


def funder_of(kind: SignatureType) -> Address:
    """Return the wallet that a variant trades for."""
    is_own = kind is SignatureType.EOA
    return SIGNER.address if is_own else checksum_address(b"\x11" * 20)


def ours(kind: SignatureType) -> Variant:
    """Amounts, fields, hash, signature, body."""
    order = build_order()
    account = TradingAccount(
        key_address=SIGNER.address, funder=funder_of(kind), signature_type=kind
    )

    def run() -> bytes:
        timestamp_ms = time.time_ns() // 1_000_000
        fields = fields_of(order, account, salt=new_salt(), timestamp_ms=timestamp_ms)
        return build_order_body(SIGNER.sign(fields), owner=OWNER)

    return run


def our_hash(kind: SignatureType) -> Variant:
    """Only the id of an order."""
    account = TradingAccount(
        key_address=SIGNER.address, funder=funder_of(kind), signature_type=kind
    )
    fields = fields_of(build_order(), account, salt=7, timestamp_ms=1_795_348_800_000)
    return lambda: order_id_of(fields)


def unified(kind: SignatureType) -> Variant:
    """``polymarket-client``: its steps after the market is known, without a network."""
    wallet = EvmAddress(funder_of(kind))
    wallet_type = "EOA" if kind is SignatureType.EOA else "DEPOSIT_WALLET"

    def run() -> bytes:
        offered, requested = unified_market._compute_market_order_amounts(  # noqa: SLF001
            amount=Decimal(10), price=Decimal("0.53"), side="BUY", tick_size=Decimal("0.01")
        )
        draft = OrderDraft(
            chain_id=137,
            exchange_address=EvmAddress(V1_NORMAL.contract),
            expiration=0,
            funder_address=wallet,
            offered_amount=offered,
            order_type="FAK",
            side="BUY",
            signer=EvmAddress(SIGNER.address),
            requested_amount=requested,
            asset_id=POSITION,
        )
        unsigned = create_unsigned_order(draft, wallet=wallet, wallet_type=wallet_type)
        typed = build_order_typed_data(unsigned)
        raw = account.sign_typed_data(full_message=typed).signature.hex()
        signature = build_order_signature(unsigned, HexString("0x" + raw.removeprefix("0x")))
        signed = create_signed_order(unsigned, signature)
        _, payload = build_post_order_request(signed, owner_api_key=OWNER)
        return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()

    account = Account.from_key(KEY)
    return run


def older(kind: SignatureType) -> Variant:
    """``py-clob-client-v2``: its order builder with every option given."""
    builder = OrderBuilder(Signer(KEY, 137), SignatureTypeV2(int(kind)), funder_of(kind))
    options = CreateOrderOptions(tick_size="0.01", neg_risk=False)

    def run() -> bytes:
        args = MarketOrderArgsV2(
            token_id=POSITION, amount=10.0, side="BUY", price=0.53, order_type="FAK"
        )
        request = order_to_json_v2(builder.build_market_order(args, options), OWNER, "FAK")
        return json.dumps(request, separators=(",", ":")).encode()

    return run


def in_pure_python(make: Callable[[SignatureType], Variant]) -> Callable[[SignatureType], Variant]:
    """Return a maker whose variants sign as where ``coincurve`` is not installed."""

    def made(kind: SignatureType) -> Variant:
        with without_coincurve():
            run = make(kind)

        def timed() -> Any:
            with without_coincurve():
                return run()

        return timed

    return made


@contextmanager
def without_coincurve() -> Iterator[None]:
    """Let eth-account use the backend that it has by itself."""
    os.environ["ECC_BACKEND_CLASS"] = "eth_keys.backends.NativeECCBackend"
    try:
        yield
    finally:
        del os.environ["ECC_BACKEND_CLASS"]


def floor(_: SignatureType) -> Variant:
    """One bare signature over a digest that is there already."""
    key = coincurve.PrivateKey(bytes.fromhex(KEY[2:]))
    digest = b"\x07" * 32
    return lambda: key.sign_recoverable(digest, hasher=None)


def measure(variants: dict[str, Variant], rounds: int) -> dict[str, list[float]]:
    """Return microseconds per call, the variants taking turns in every round."""
    repeats = {name: 2 if "as installed" in name else 20 for name in variants}
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for run in variants.values():
        run()
    for _ in range(rounds):
        for name, run in variants.items():
            for _ in range(repeats[name]):
                start = time.perf_counter_ns()
                run()
                taken[name].append((time.perf_counter_ns() - start) / 1_000)
    return taken


def main() -> None:
    """Print medians, 99th percentiles and ratios for both kinds of wallet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40, help="turns that each variant takes")
    rounds = parser.parse_args().rounds
    makers = {
        "polybot": ours,
        "polybot, id alone": our_hash,
        "polymarket-client, as installed": in_pure_python(unified),
        "polymarket-client, coincurve": unified,
        "py-clob-client-v2, as installed": in_pure_python(older),
        "py-clob-client-v2, coincurve": older,
        "floor: one signature": floor,
    }
    for kind in (SignatureType.EOA, SignatureType.DEPOSIT_WALLET):
        taken = measure({name: make(kind) for name, make in makers.items()}, rounds)
        ours_us, ours_best_us = statistics.median(taken["polybot"]), min(taken["polybot"])
        print(f"\n{kind.name} (signature type {int(kind)}), microseconds")
        print(f"{'':34}{'median':>9}{'p99':>9}{'best':>9}{'ratio of medians':>18}{'of bests':>10}")
        for name, each in taken.items():
            median, best = statistics.median(each), min(each)
            p99 = statistics.quantiles(each, n=100)[98]
            print(
                f"{name:34}{median:9.1f}{p99:9.1f}{best:9.1f}"
                f"{median / ours_us:17.2f}x{best / ours_best_us:9.2f}x"
            )


if __name__ == "__main__":
    main()
