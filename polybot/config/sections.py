"""The settings, section by section, each with its unit and a default that is safe."""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from polybot.config.values import (
    Amount,
    BaseUrl,
    Fraction,
    Integer,
    LoopbackUrl,
    Money,
    Names,
    Number,
    SocketUrl,
    Spaced,
)

KNOWN_EXCHANGES: Final = (
    "binance",
    "binanceus",
    "bitfinex",
    "bitstamp",
    "bybit",
    "coinbase",
    "cryptocom",
    "gemini",
    "kraken",
    "kucoin",
    "okx",
)
"""ccxt's names of large spot exchanges that list the coins against a dollar."""
TIMEFRAMES_S: Final = (60, 300, 900)
_LONGEST_WINDOW_S: Final = 14_400


class Section(BaseModel):
    """A group of settings; unknown keys are refused and values never shown in errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True
    )


def all_of(problems: Iterable[tuple[bool, str]]) -> None:
    """Raise one error that lists every rule that is broken, one a line."""
    broken = [text for is_broken, text in problems if is_broken]
    if broken:
        raise ValueError("\n".join(broken))


def _known_timeframe(value: int) -> int:
    if value not in TIMEFRAMES_S:
        raise ValueError(f"must be one of {', '.join(map(str, TIMEFRAMES_S))}")
    return value


def _known_exchanges(names: tuple[str, ...]) -> tuple[str, ...]:
    if set(names) - set(KNOWN_EXCHANGES):
        raise ValueError(f"must be among {', '.join(KNOWN_EXCHANGES)}")
    return names


class StrategySettings(Section):
    """EMA crossover with RSI filter and MACD confirmation, on closed candles."""

    name: str = Field(
        "ema-rsi-macd",
        pattern=r"^[a-z0-9-]{1,40}$",
        description="Part of every decision key; rename it when you change the strategy [text].",
    )
    timeframe_s: Annotated[Integer, AfterValidator(_known_timeframe)] = Field(
        60, description="Length of a candle: 60, 300 or 900 [s]."
    )
    fast: Integer = Field(9, ge=2, le=500, description="Fast EMA period [candles].")
    slow: Integer = Field(21, ge=3, le=1000, description="Slow EMA period [candles].")
    cross_max_age: Integer = Field(
        10, ge=0, le=1000, description="A crossover counts for so many closed candles [candles]."
    )
    rsi_period: Integer = Field(14, ge=2, le=500, description="RSI period [candles].")
    rsi_upper: Number = Field(70, gt=50, le=100, description="No UP above this RSI [0-100].")
    rsi_lower: Number = Field(30, ge=0, lt=50, description="No DOWN below this RSI [0-100].")
    macd_fast: Integer = Field(12, ge=2, le=500, description="MACD fast period [candles].")
    macd_slow: Integer = Field(26, ge=3, le=1000, description="MACD slow period [candles].")
    macd_signal: Integer = Field(9, ge=2, le=500, description="MACD signal period [candles].")
    candle_count: Integer = Field(
        300,
        ge=30,
        le=1000,
        description="Closed candles per decision; at least five times the longest of slow, "
        "macd_slow + macd_signal and 2 × rsi_period − 1 [candles].",
    )

    @model_validator(mode="after")
    def _periods_fit(self) -> Self:
        """Refuse crossed periods and a warm-up that is too short."""
        longest = max(self.slow, self.macd_slow + self.macd_signal, 2 * self.rsi_period - 1)
        all_of(
            (
                (
                    self.fast >= self.slow,
                    f"fast: must be shorter than slow ({self.slow}); was {self.fast}",
                ),
                (
                    self.macd_fast >= self.macd_slow,
                    f"macd_fast: must be shorter than macd_slow ({self.macd_slow}); "
                    f"was {self.macd_fast}",
                ),
                (
                    self.candle_count < 5 * longest,
                    f"candle_count: must be at least {5 * longest}, five times the longest "
                    f"period; was {self.candle_count}",
                ),
            )
        )
        return self


class RiskSettings(Section):
    """Limits; every one is checked before every order."""

    stake_usdc: Amount = Field(Decimal(5), description="Spent on one trade [USDC].")
    max_stake_usdc: Amount = Field(
        Decimal(10), description="Most that one order may spend, fee not included [USDC]."
    )
    min_cash_usdc: Money = Field(
        Decimal(50), ge=0, le=1_000_000, description="Cash that must remain after an order [USDC]."
    )
    max_trades_per_day: Integer = Field(
        48, ge=1, le=10_000, description="Orders per UTC day [orders]."
    )
    max_daily_loss_usdc: Amount = Field(
        Decimal(25),
        description="No new order that could take the UTC day's loss beyond this [USDC].",
    )
    max_window_exposure_usdc: Amount = Field(
        Decimal(10), description="At risk in one market [USDC]."
    )
    max_exposure_usdc: Amount = Field(Decimal(30), description="At risk in all markets [USDC].")
    max_spread: Fraction = Field(
        Decimal("0.05"), description="Widest spread that is traded [USDC/share]."
    )
    max_slippage: Fraction = Field(
        Decimal("0.03"), description="Furthest limit price from the midpoint [USDC/share]."
    )
    min_time_left_s: Integer = Field(
        300, ge=0, le=_LONGEST_WINDOW_S, description="Least time to the window's end [s]."
    )

    @model_validator(mode="after")
    def _limits_nest(self) -> Self:
        """Refuse limits under which no order could ever pass, or that bound nothing."""
        ladder = (
            "stake_usdc",
            "max_stake_usdc",
            "max_window_exposure_usdc",
            "max_exposure_usdc",
        )
        values = [(name, getattr(self, name)) for name in ladder]
        all_of(
            (
                small > large,
                f"{name}: must be at most {above} ({large}); was {small}",
            )
            for (name, small), (above, large) in pairwise(values)
        )
        return self


class TimingSettings(Section):
    """When a run acts."""

    start_delay_s: Number = Field(
        3,
        ge=0,
        le=60,
        description="Wait after the window's start for candles and books to settle [s].",
    )
    max_lateness_s: Number = Field(
        180,
        ge=1,
        le=_LONGEST_WINDOW_S,
        description="A run later than this after the window's start records a skip [s].",
    )
    fetch_deadline_s: Number = Field(
        60, ge=1, le=600, description="Reads are retried for at most this long [s]."
    )

    @property
    def start_delay(self) -> timedelta:
        """Wait after the window's start."""
        return timedelta(seconds=self.start_delay_s)

    @property
    def max_lateness(self) -> timedelta:
        """How late a run may be for its window."""
        return timedelta(seconds=self.max_lateness_s)


class VenueSettings(Section):
    """Where the venue is; in sandbox mode the sandbox takes the place of all of them."""

    gamma_url: BaseUrl = Field(
        "https://gamma-api.polymarket.com", description="Market discovery [URL]."
    )
    clob_url: BaseUrl = Field(
        "https://clob.polymarket.com", description="Order books and orders [URL]."
    )
    data_url: BaseUrl = Field(
        "https://data-api.polymarket.com", description="Trades and resolutions [URL]."
    )
    user_socket_url: SocketUrl = Field(
        "wss://ws-subscriptions-clob.polymarket.com/ws/user",
        description="Our orders and fills as they happen, live mode [URL].",
    )
    market_socket_url: SocketUrl = Field(
        "wss://ws-subscriptions-clob.polymarket.com/ws/market",
        description="Order books as they change, for copy trading [URL].",
    )
    stream_url: SocketUrl = Field(
        "wss://ws-live-data.polymarket.com",
        description="Everybody's trades as they happen (RTDS), for copy trading [URL].",
    )
    relayer_url: BaseUrl = Field(
        "https://relayer-v2.polymarket.com",
        description="Sends redemptions of contract wallets without gas, live mode [URL].",
    )
    rpc_url: BaseUrl | None = Field(
        None,
        description="Polygon node for redeeming; default: the official client's choice [URL].",
    )
    geoblock_url: BaseUrl = Field(
        "https://polymarket.com/api/geoblock",
        description="Tells whether the venue takes orders from here; the doctor asks [URL].",
    )
    timeout_s: Number = Field(5, gt=0, le=60, description="Time-out of one request [s].")


class PriceSettings(Section):
    """Reference prices through ccxt."""

    exchanges: Annotated[Names, AfterValidator(_known_exchanges)] = Field(
        ("binance", "coinbase", "kraken"),
        min_length=1,
        description=f"Asked in this order; the first healthy one answers. Known: "
        f"{', '.join(KNOWN_EXCHANGES)} [names].",
    )
    base_url: BaseUrl | None = Field(
        None,
        description="Send the exchanges' requests here instead; in sandbox mode the sandbox "
        "takes its place [URL].",
    )
    timeout_s: Number = Field(5, gt=0, le=60, description="Time-out of one request [s].")


class PaperSettings(Section):
    """The simulated exchange."""

    starting_cash_usdc: Amount = Field(
        Decimal(1000), description="Deposited into a new paper or sandbox ledger [USDC]."
    )
    delay_s: Number = Field(
        0.25,
        ge=0,
        le=10,
        description="From decision to match: network plus the venue's taker delay [s].",
    )


class AlertSettings(Section):
    """Who is told, and how often."""

    urls: Annotated[tuple[SecretStr, ...], Spaced] = Field(
        (),
        max_length=20,
        description="Apprise URLs, separated by spaces; a secret: environment or .env only [URLs].",
    )
    per_minute: Integer = Field(
        20, ge=1, le=600, description="Most alerts sent in a minute; the rest wait [alerts]."
    )


class SandboxSettings(Section):
    """The venue on this machine."""

    url: LoopbackUrl = Field(
        "http://127.0.0.1:8640", description="Where `polybot sandbox` listens [URL]."
    )


class LogSettings(Section):
    """What is written down about a run, on standard error and under `home`/logs."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level that is logged: debug, info, warning or error [level]."
    )
    format: Literal["text", "json"] = Field(
        "text", description="text (key=value) or json, one event a line either way [format]."
    )
