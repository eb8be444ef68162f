"""Settings: environment and ``.env`` for secrets, ``polybot.yaml`` for the rest.

Everything works with no configuration at all: paper mode, small stakes, ``btc-15m``.
"""

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
    "LogSettings",
    "PaperSettings",
    "PriceSettings",
    "RiskSettings",
    "SandboxSettings",
    "Settings",
    "StrategySettings",
    "TimingSettings",
    "VenueSettings",
    "load_settings",
]
