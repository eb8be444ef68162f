"""Settings: environment and ``.env`` for secrets, ``polybot.yaml`` for the rest.

Everything works with no configuration at all: paper mode, small stakes, ``btc-15m``.
"""

from polybot.config.key_variables import KeyVariable, key_variable
from polybot.config.live import LiveSettings
from polybot.config.sections import (
    KNOWN_EXCHANGES,
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
from polybot.config.settings import Hosts, Settings, load_settings

__all__ = [
    "KNOWN_EXCHANGES",
    "AlertSettings",
    "Hosts",
    "KeyVariable",
    "LiveSettings",
    "LogSettings",
    "PaperSettings",
    "PriceSettings",
    "RiskSettings",
    "SandboxSettings",
    "Settings",
    "StrategySettings",
    "TimingSettings",
    "VenueSettings",
    "key_variable",
    "load_settings",
]
