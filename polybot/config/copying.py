"""The settings of copy trading; whom to copy, and how, is in the ledger (`polybot leaders`)."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from polybot.config.sections import Section, all_of
from polybot.config.values import Integer, Number, Switch


def _node_socket(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("ws://", "wss://")):
        raise ValueError("must be a WebSocket URL of a Polygon node: wss://…")
    return value


class CopySettings(Section):
    """The copy loop: where it listens, how fast it notices silence, how it is kept alone."""

    stream: Switch = Field(
        True, description="Listen to the venue's real-time trades (RTDS) [true/false]."
    )
    stream_connections: Integer = Field(
        2, ge=1, le=4, description="Connections to it; the first to tell counts [connections]."
    )
    stream_ping_s: Number = Field(
        5, gt=0, le=60, description="Between two PINGs; without them the stream goes mute [s]."
    )
    stream_silence_s: Number = Field(
        15, gt=0, le=600, description="Without any trade for so long, subscribe again [s]."
    )
    data_api: Switch = Field(
        True,
        description="Read followed wallets from the Data API too: the safety net, and the only "
        "source of merges, splits and redemptions [true/false].",
    )
    data_api_every_s: Number = Field(
        3, ge=0.5, le=60, description="Between two reads of one leader's trades [s]."
    )
    activity_every_s: Number = Field(
        15, ge=1, le=600, description="Between two reads of one leader's other activity [s]."
    )
    overlap_s: Number = Field(
        120, ge=0, le=86_400, description="Re-reading starts so long before the watermark [s]."
    )
    node_url: Annotated[SecretStr, AfterValidator(_node_socket)] | None = Field(
        None,
        description="WebSocket of a Polygon node whose logs are heard too; default: none. "
        "A secret: environment or .env only [URL].",
    )
    max_frame_bytes: Integer = Field(
        1 << 20, ge=4096, le=1 << 26, description="Longest frame, unpacked [bytes]."
    )
    max_book_age_s: Number = Field(
        10, gt=0, le=600, description="No copy on a book that is older [s]."
    )
    lease_s: Number = Field(
        15,
        ge=3,
        le=600,
        description="A loop that has not renewed its lease for so long may be replaced [s].",
    )
    report_every_s: Number = Field(
        5, ge=1, le=600, description="Between two updates of the artifact in the UI [s]."
    )
    drift_every_s: Number = Field(
        60, ge=5, le=3600, description="Between two comparisons with leaders' positions [s]."
    )
    hand_over_h: Number = Field(
        24, gt=0, le=168, description="A run ends after so long and the next takes over [h]."
    )

    @model_validator(mode="after")
    def _somebody_listens(self) -> Self:
        """Refuse a loop that hears nothing, and pings too rare to keep the stream alive."""
        all_of(
            (
                (
                    not (self.stream or self.data_api or self.node_url is not None),
                    "stream: one of stream, data_api and node_url must be on",
                ),
                (
                    self.stream_ping_s >= self.stream_silence_s,
                    f"stream_ping_s: must be less than stream_silence_s "
                    f"({self.stream_silence_s}); was {self.stream_ping_s}",
                ),
            )
        )
        return self
