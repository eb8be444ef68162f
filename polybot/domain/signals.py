"""What the strategy believes: indicators of closed candles and the direction they give."""

from dataclasses import dataclass
from enum import StrEnum

from polybot.domain.markets import Outcome


class Direction(StrEnum):
    """The forecast for one window; DOWN means buying the Down token."""

    UP = "UP"
    DOWN = "DOWN"
    HOLD = "HOLD"

    @property
    def outcome(self) -> Outcome | None:
        """Return the outcome to buy, if any."""
        match self:
            case Direction.UP:
                return Outcome.UP
            case Direction.DOWN:
                return Outcome.DOWN
            case Direction.HOLD:
                return None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorValues:
    """Indicators at the last closed candle; prices in USD(T), RSI in 0-100."""

    close: float
    ema_fast: float
    ema_slow: float
    rsi: float
    macd: float
    macd_signal: float
    macd_histogram: float
    bars_since_cross: int | None
    """Closed candles since the fast EMA crossed the slow one (0: at the last); ``None``: never."""
    candle_count: int
    last_close_s: int
    """Epoch second at which the last candle closed."""

    def as_dict(self) -> dict[str, float | int | None]:
        """Return the values by name, for the record and the card."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """The forecast for one window and the sentence that justifies it."""

    direction: Direction
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyParams:
    """The numbers of the strategy "EMA crossover, RSI filter, MACD confirmation".

    Periods and counts are in closed candles, RSI bounds in 0-100.
    """

    name: str = "ema-rsi-macd"
    timeframe_s: int = 60
    fast: int = 9
    slow: int = 21
    cross_max_age: int = 10
    rsi_period: int = 14
    rsi_upper: float = 70
    rsi_lower: float = 30
    macd_fast: int = 12
    macd_slow: int = 26
    macd_signal: int = 9
    candle_count: int = 300

    def __post_init__(self) -> None:
        """Refuse numbers that give no strategy."""
        if not 1 <= self.fast < self.slow or not 1 <= self.macd_fast < self.macd_slow:
            raise ValueError(
                f"fast periods must be shorter than slow ones, were EMA {self.fast}/{self.slow}, "
                f"MACD {self.macd_fast}/{self.macd_slow}"
            )
        if min(self.timeframe_s, self.rsi_period, self.macd_signal) < 1 or self.cross_max_age < 0:
            raise ValueError(f"periods must be positive: {self}")
        if not 0 <= self.rsi_lower < self.rsi_upper <= 100:
            raise ValueError(
                f"RSI bounds must be 0 ≤ lower < upper ≤ 100, were {self.rsi_lower} "
                f"and {self.rsi_upper}"
            )

    @property
    def warm_up_count(self) -> int:
        """Fewest closed candles that a decision may be based on: five times the longest memory.

        An EMA of span n started at the wrong value keeps (1 − 2/(n+1)) of the error per candle:
        after five spans less than 10⁻⁴ of it is left. RSI smooths with 1/period, which is the
        EMA of span 2·period − 1.
        """
        return 5 * max(self.slow, self.macd_slow + self.macd_signal, 2 * self.rsi_period - 1)
