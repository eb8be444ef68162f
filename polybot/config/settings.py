"""All settings in one frozen object, and the one function that loads them."""

import json
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from polybot.config.copying import CopySettings
from polybot.config.live import LiveSettings
from polybot.config.problems import describe
from polybot.config.sections import (
    AlertSettings,
    LogSettings,
    PaperSettings,
    PriceSettings,
    RiskSettings,
    SandboxSettings,
    StrategySettings,
    TimingSettings,
    VenueSettings,
)
from polybot.config.sources import DOT_ENV, PREFIX, DotEnvSource, VariableSource, YamlSource
from polybot.config.values import Names
from polybot.domain.markets import ASSETS, DURATIONS_S, MarketSeries
from polybot.domain.modes import Mode
from polybot.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """Where requests go in the chosen mode."""

    gamma_url: str
    clob_url: str
    data_url: str
    user_socket_url: str
    market_socket_url: str
    stream_url: str
    relayer_url: str
    rpc_url: str | None
    """``None``: the official client's own choice."""
    geoblock_url: str | None
    """``None``: nobody asks, a sandbox has no borders."""
    prices_base_url: str | None
    """``None``: each exchange's own address."""


def _listed_series(names: tuple[str, ...]) -> tuple[str, ...]:
    try:
        for name in names:
            MarketSeries.parse(name)
    except ValueError:
        known = f"{'|'.join(ASSETS)} - {'|'.join(DURATIONS_S)}"
        # Not chained: the message quotes the text, which may be a secret in the wrong place.
        raise ValueError(f"must be market series ({known}, like btc-15m)") from None
    return names


def _usable_home(path: Path) -> Path:
    try:
        expanded = path.expanduser()
        is_file = expanded.exists() and not expanded.is_dir()
    except (RuntimeError, OSError, ValueError):
        raise ValueError("must be a folder") from None
    if is_file:
        raise ValueError("must be a folder, not a file")
    return expanded


def _database_url(value: SecretStr) -> SecretStr:
    scheme, separator, rest = value.get_secret_value().partition("://")
    if not separator or not scheme.startswith(("sqlite", "postgresql")) or not rest:
        raise ValueError("must be an SQLAlchemy URL: sqlite:///… or postgresql+psycopg://…")
    return value


_NOT_IN_FINGERPRINT: Final[Any] = {
    "home": True,
    "database_url": True,
    "paper": True,
    "alerts": True,
    "sandbox": True,
    "logs": True,
    "copying": {"node_url"},
    "live": {"relayer_key", "keystore", "passphrase_file"},
}


class Settings(BaseSettings):
    """All settings; unknown keys are refused."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        # An empty variable is a variable that is not set: compose files pass those.
        env_ignore_empty=True,
        enable_decoding=False,
        extra="forbid",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,
    )

    mode: Mode = Field(Mode.PAPER, description="paper, live or sandbox [mode].")
    home: Annotated[Path, AfterValidator(_usable_home)] = Field(
        Path(".polybot"), description="Where ledgers, logs and caches live [folder]."
    )
    database_url: Annotated[SecretStr, AfterValidator(_database_url)] | None = Field(
        None,
        description="SQLAlchemy URL of the ledger; default: a SQLite file per mode in the home. "
        "A secret: environment or .env only [URL].",
    )
    series: Annotated[Names, AfterValidator(_listed_series)] = Field(
        ("btc-15m",),
        min_length=1,
        description="Market series to trade: btc, eth, sol, xrp, each - 5m, 15m, 4h [names].",
    )
    strategy: StrategySettings = StrategySettings()
    risk: RiskSettings = RiskSettings()
    timing: TimingSettings = TimingSettings()
    venue: VenueSettings = VenueSettings()
    prices: PriceSettings = PriceSettings()
    paper: PaperSettings = PaperSettings()
    live: LiveSettings = LiveSettings()
    copying: CopySettings = CopySettings()
    alerts: AlertSettings = AlertSettings()
    sandbox: SandboxSettings = SandboxSettings()
    logs: LogSettings = LogSettings()

    @property
    def hosts(self) -> Hosts:
        """Return where requests go: in sandbox mode nowhere but to the sandbox."""
        if self.mode is Mode.SANDBOX:
            url = self.sandbox.url
            return Hosts(
                gamma_url=url,
                clob_url=url,
                data_url=url,
                user_socket_url=f"ws{url.removeprefix('http')}/ws/user",
                market_socket_url=f"ws{url.removeprefix('http')}/ws/market",
                stream_url=f"ws{url.removeprefix('http')}/rtds",
                relayer_url=url,
                rpc_url=url,
                geoblock_url=None,
                prices_base_url=url,
            )
        return Hosts(
            gamma_url=self.venue.gamma_url,
            clob_url=self.venue.clob_url,
            data_url=self.venue.data_url,
            user_socket_url=self.venue.user_socket_url,
            market_socket_url=self.venue.market_socket_url,
            stream_url=self.venue.stream_url,
            relayer_url=self.venue.relayer_url,
            rpc_url=self.venue.rpc_url,
            geoblock_url=self.venue.geoblock_url,
            prices_base_url=self.prices.base_url,
        )

    @property
    def secret_values(self) -> tuple[str, ...]:
        """Return every secret and its telling parts, so that logs can mask them."""
        whole = [url.get_secret_value() for url in self.alerts.urls]
        if self.database_url is not None:
            whole.append(self.database_url.get_secret_value())
        parts: list[str] = []
        for url in whole:
            # user:password@ and tokens in a path or query; host names are shorter or harmless.
            password = re.search(r"://[^/@]*:([^/@]+)@", url)
            parts += [password[1]] if password else []
            parts += [part for part in re.split(r"[/:@?&=]", url) if len(part) >= 16]
        if self.copying.node_url is not None:
            whole.append(self.copying.node_url.get_secret_value())
        if self.live.relayer_key is not None:
            whole.append(self.live.relayer_key.get_secret_value())
        return tuple(dict.fromkeys((*whole, *parts)))

    @property
    def keystore_path(self) -> Path:
        """Where the encrypted key is."""
        return self.live.keystore or self.home / "keystore.json"

    @property
    def fingerprint(self) -> str:
        """Return a digest of every setting that decides what is traded, where and by whom.

        Secrets and the settings of logs, alerts, paper and sandbox have no part in it, nor has
        the home, which different processes name differently.
        """
        document = self.model_dump(mode="json", exclude=_NOT_IN_FINGERPRINT)
        return sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:32]

    @model_validator(mode="after")
    def _windows_leave_time(self) -> Self:
        """Refuse a series whose windows are too short for the least time that must be left."""
        shortest = min(map(MarketSeries.parse, self.series), key=lambda series: series.duration_s)
        if self.risk.min_time_left_s + self.timing.start_delay_s >= shortest.duration_s:
            raise ValueError(
                f"risk.min_time_left_s: with timing.start_delay_s must be less than the "
                f"{shortest.duration_s} s of a {shortest} window, or none is ever traded; "
                f"was {self.risk.min_time_left_s}"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put arguments before the environment, before ``.env``, before ``polybot.yaml``."""
        # pydantic's own .env source gives up on a file that is not text; ours reports it.
        variables = VariableSource(settings_cls)
        secrets_file = variables.env_vars.get(f"{PREFIX}ENV_FILE".lower()) or DOT_ENV
        dot_env = DotEnvSource(settings_cls, Path(secrets_file))
        key = f"{PREFIX}CONFIG".lower()
        named = variables.env_vars.get(key) or dot_env.env_vars.get(key)
        return (init_settings, variables, dot_env, YamlSource(settings_cls, named))


def load_settings(**overrides: Any) -> Settings:
    """Return the settings of this process.

    Args:
        overrides: Win over every other source, e.g. ``mode="sandbox"``; a section as a mapping.

    Raises:
        ConfigurationError: One line for everything that is wrong, wherever it was set.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = describe(error, Settings)
    except SettingsError:
        lines = ["the environment cannot be read as settings"]
    # Raised here, outside the handler, so that no traceback shows what was typed.
    listed = "\n".join(f"  {line}" for line in lines)
    raise ConfigurationError(f"the settings are not usable (docs/configuration.md):\n{listed}")
