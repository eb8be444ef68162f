"""Settings: environment and ``.env`` for secrets, ``polybot.yaml`` for the rest.

Everything works with no configuration at all: paper mode, small stakes, ``btc-15m``.
"""

from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from polybot.domain.modes import Mode

Fraction = Annotated[Decimal, Field(gt=0, lt=1)]
Amount = Annotated[Decimal, Field(gt=0, le=1_000_000)]


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True
    )


class StrategySettings(_Section):
    """EMA crossover with RSI filter and MACD confirmation, on closed candles."""

    name: str = Field(
        "ema-rsi-macd",
        pattern=r"^[a-z0-9-]{1,40}$",
        description="Part of every decision key; rename it when you change the strategy.",
    )
    timeframe_s: int = Field(60, description="Length of a candle [s].")
    fast: int = Field(9, ge=2, le=500, description="Fast EMA period [candles].")
    slow: int = Field(21, ge=3, le=1000, description="Slow EMA period [candles].")
    cross_max_age: int = Field(
        10, ge=0, le=1000, description="A crossover counts for so many closed candles."
    )
    rsi_period: int = Field(14, ge=2, le=500, description="RSI period [candles].")
    rsi_upper: float = Field(70, gt=50, le=100, description="No UP above this RSI (0-100).")
    rsi_lower: float = Field(30, ge=0, lt=50, description="No DOWN below this RSI (0-100).")
    macd_fast: int = Field(12, ge=2, le=500, description="MACD fast period [candles].")
    macd_slow: int = Field(26, ge=3, le=1000, description="MACD slow period [candles].")
    macd_signal: int = Field(9, ge=2, le=500, description="MACD signal period [candles].")
    candle_count: int = Field(
        300,
        ge=30,
        le=1000,
        description="Closed candles per decision; at least five times the longest slow period.",
    )


class RiskSettings(_Section):
    """Limits; every one is checked before every order."""

    stake_usdc: Amount = Field(Decimal(5), description="Spent on one trade [USDC].")
    max_stake_usdc: Amount = Field(
        Decimal(10), description="Most that one order may spend, fee not included [USDC]."
    )
    min_cash_usdc: Decimal = Field(
        Decimal(50), ge=0, description="Cash that must remain after an order [USDC]."
    )
    max_trades_per_day: int = Field(48, ge=1, le=10_000, description="Orders per UTC day.")
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
    min_time_left_s: int = Field(300, ge=0, description="Least time to the window's end [s].")


class TimingSettings(_Section):
    """When a run acts."""

    start_delay_s: float = Field(
        3,
        ge=0,
        le=60,
        description="Wait after the window's start for candles and books to settle [s].",
    )
    max_lateness_s: float = Field(
        180, ge=1, description="A run later than this after the window's start records a skip [s]."
    )
    fetch_deadline_s: float = Field(
        60, ge=1, description="Reads are retried for at most this long [s]."
    )


class VenueSettings(_Section):
    """Where the venue is."""

    gamma_url: str = Field("https://gamma-api.polymarket.com", description="Market discovery.")
    clob_url: str = Field("https://clob.polymarket.com", description="Order books and orders.")
    data_url: str = Field("https://data-api.polymarket.com", description="Trades and resolutions.")
    timeout_s: float = Field(5, gt=0, le=60, description="Time-out of one request [s].")


class PriceSettings(_Section):
    """Reference prices through ccxt."""

    exchanges: tuple[str, ...] = Field(
        ("binance", "coinbase", "kraken"),
        min_length=1,
        description="Asked in this order; the first healthy one answers.",
    )
    base_url: str | None = Field(
        None, description="Send the exchanges' requests here instead (sandbox, tests)."
    )
    timeout_s: float = Field(5, gt=0, le=60, description="Time-out of one request [s].")


class PaperSettings(_Section):
    """The simulated exchange."""

    starting_cash_usdc: Amount = Field(
        Decimal(1000), description="Deposited into a new paper or sandbox ledger [USDC]."
    )
    delay_s: float = Field(
        0.25,
        ge=0,
        le=10,
        description="From decision to match: network plus the venue's taker delay [s].",
    )


class AlertSettings(_Section):
    """Who is told, and how often."""

    urls: tuple[SecretStr, ...] = Field(
        (), description="Apprise URLs (secret: environment or .env only)."
    )
    per_minute: int = Field(
        20, ge=1, le=600, description="Most alerts sent in a minute; the rest wait."
    )


class SandboxSettings(_Section):
    """The venue on this machine."""

    url: str = Field("http://127.0.0.1:8640", description="Where `polybot sandbox` listens.")


class Settings(BaseSettings):
    """All settings; unknown keys are refused."""

    model_config = SettingsConfigDict(
        env_prefix="POLYBOT_",
        env_nested_delimiter="__",
        env_file=".env",
        extra="forbid",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,
    )

    mode: Mode = Field(Mode.PAPER, description="paper, live or sandbox.")
    home: Path = Field(Path(".polybot"), description="Where ledgers, logs and caches live.")
    database_url: SecretStr | None = Field(
        None,
        description="SQLAlchemy URL of the ledger; default: a SQLite file per mode in the home.",
    )
    series: tuple[str, ...] = Field(
        ("btc-15m",),
        min_length=1,
        description="Market series to trade: btc|eth|sol|xrp - 5m|15m|4h.",
    )
    strategy: StrategySettings = StrategySettings()
    risk: RiskSettings = RiskSettings()
    timing: TimingSettings = TimingSettings()
    venue: VenueSettings = VenueSettings()
    prices: PriceSettings = PriceSettings()
    paper: PaperSettings = PaperSettings()
    alerts: AlertSettings = AlertSettings()
    sandbox: SandboxSettings = SandboxSettings()
