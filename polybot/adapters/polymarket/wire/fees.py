"""Fee schedules: the one formula that we can charge, anything else refused.

Source: docs.polymarket.com/trading/fees and live captures of 2026-10-05 (2026-11-22).
"""

from decimal import Decimal
from typing import Any, Final

import msgspec

from polybot.adapters.polymarket.wire.strict import number, quote, shaped
from polybot.domain.markets import FeeSchedule
from polybot.errors import DataError

FEES: Final = "fee-schedule"
# The one fee formula that we know to charge; a new name means a new formula.
_FEE_TYPES: Final = frozenset({"crypto_fees_v2"})


class _GammaFeeWire(msgspec.Struct, rename="camel"):
    rate: Any
    exponent: Any
    taker_only: bool


class _ClobFeeWire(msgspec.Struct):
    r: Any
    e: Any
    to: bool = False


def gamma_fees(*, is_enabled: bool, fee_type: object, schedule: object) -> FeeSchedule:
    """Return the fees of a Gamma market: ``feesEnabled``, ``feeType`` and ``feeSchedule``."""
    if not is_enabled:
        return FeeSchedule(rate=Decimal(0), exponent=1)
    if not isinstance(fee_type, str) or fee_type not in _FEE_TYPES:
        raise DataError(f"fee type is unknown: {quote(fee_type)}", reason=FEES)
    found = shaped(schedule, _GammaFeeWire, reason=FEES)
    return _fees(found.rate, found.exponent, taker_only=found.taker_only)


def clob_fees(value: object) -> FeeSchedule:
    """Return the fees of a CLOB market from its ``fd``, which is absent where there are none."""
    if value is None:
        return FeeSchedule(rate=Decimal(0), exponent=1)
    schedule = shaped(value, _ClobFeeWire, reason=FEES)
    return _fees(schedule.r, schedule.e, taker_only=schedule.to)


def _fees(rate: object, exponent: object, *, taker_only: bool) -> FeeSchedule:
    exact_rate = number(rate, "fee rate", reason=FEES, above=-1, at_most=1)
    if exact_rate == 0:
        return FeeSchedule(rate=Decimal(0), exponent=1)
    power = number(exponent, "fee exponent", reason=FEES, above=0, at_most=4)
    if exact_rate < 0 or power != power.to_integral_value():
        raise DataError(
            f"fee schedule is impossible: rate {quote(exact_rate)}, exponent {quote(power)}",
            reason=FEES,
        )
    if not taker_only:
        raise DataError("makers pay fees here too, which we do not account for", reason=FEES)
    return FeeSchedule(rate=exact_rate, exponent=int(power))
