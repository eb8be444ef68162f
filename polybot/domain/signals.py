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
