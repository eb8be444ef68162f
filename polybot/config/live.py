"""The settings of live trading: whose wallet, which key, how fresh the proofs must be."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from polybot.config.sections import Section, all_of
from polybot.config.values import AccountAddress, Integer, Number, Plain, Switch

POLYGON: Final = 137


def _known_chain(value: int) -> int:
    if value != POLYGON:
        raise ValueError(f"must be {POLYGON} (Polygon): no other chain has the venue's contracts")
    return value


class LiveSettings(Section):
    """Real orders: whose wallet, which key, and how fresh the proofs must be (`docs/keys.md`)."""

    funder: AccountAddress | None = Field(
        None,
        description="Wallet that holds the funds: the deposit, proxy or Safe address that the "
        "venue's site shows; default: the key's own address [address].",
    )
    signature_type: Annotated[int, Plain] | None = Field(
        None,
        ge=0,
        le=3,
        description="0 the key's own address, 1 proxy, 2 Safe, 3 deposit wallet; default: found "
        "by deriving the key's wallets and comparing them with the funder [type].",
    )
    session_key: Switch = Field(
        False,
        description="The key is a session key of the funder, a deposit wallet: it trades and "
        "cannot withdraw. Recommended [true/false].",
    )
    chain_id: Annotated[Integer, AfterValidator(_known_chain)] = Field(
        POLYGON, description="The chain of the venue's contracts [id]."
    )
    key_source: Literal["keystore", "keyring", "environment"] = Field(
        "keystore",
        description="Where the key is: keystore (an encrypted file), keyring (of this system), "
        "or environment (POLYBOT_PRIVATE_KEY) [source].",
    )
    keystore: Path | None = Field(
        None, description="The encrypted key; default: keystore.json in the home [file]."
    )
    passphrase_file: Path | None = Field(
        None,
        description="Holds the keystore's passphrase, for its owner alone; default: "
        "POLYBOT_KEY_PASSPHRASE in the environment, else the commands ask [file].",
    )
    accept_plain_key: Switch = Field(
        False,
        description="Take POLYBOT_PRIVATE_KEY or POLYBOT_KEY_PASSPHRASE from .env although "
        "programs that steal keys look there first [true/false].",
    )
    relayer_key: SecretStr | None = Field(
        None,
        description="Relayer API key for redeeming without gas. A secret: environment or .env "
        "only [key].",
    )
    relayer_address: AccountAddress | None = Field(
        None, description="The address that the relayer API key belongs to [address]."
    )
    order_timeout_s: Number = Field(
        10,
        ge=1,
        le=60,
        description="Time-out of an order's request, the venue's taker delay included; after it "
        "the order counts as unknown and is looked up [s].",
    )
    heartbeat: Switch = Field(
        False,
        description="While the flow follow runs, keep the venue's dead-man switch: it cancels "
        "every open order of the key, other programs' too, ten seconds after the last beat, also "
        "in the pause between two runs [true/false].",
    )
    max_clock_difference_s: Number = Field(
        2, gt=0, le=2, description="This machine's clock against the venue's [s]."
    )
    doctor_max_age_s: Number = Field(
        86_400,
        ge=60,
        le=604_800,
        description="No order when the last green `polybot doctor` is older than this [s].",
    )
    reconcile_max_age_s: Number = Field(
        120,
        ge=5,
        le=3_600,
        description="No order when the books were last reconciled longer ago than this [s].",
    )

    balance_lag_s: Number = Field(
        120,
        ge=0,
        le=3_600,
        description="How long the venue's balances may lag behind its trades. Not published, "
        "unverified: too short halts over fills that are on their way, too long waits [s].",
    )
    trades_overlap_s: Number = Field(
        3_600,
        ge=60,
        le=86_400,
        description="How far back trades are read again each time: a late one is dated to its "
        "match. Not published, unverified: too short misses late trades [s].",
    )
    trades_deep_overlap_s: Number = Field(
        259_200,
        ge=3_600,
        le=2_592_000,
        description="The same where something differed: the missing piece may be very late. Not "
        "published, unverified [s].",
    )
    trades_lag_s: Number = Field(
        30,
        ge=5,
        le=600,
        description="How long after a match the venue's trades may show it. Until then a market "
        "order that was filled in part blocks its market, where the venue does not show its end. "
        "Not published, unverified [s].",
    )
    arrival_grace_s: Number = Field(
        120,
        ge=60,
        le=3_600,
        description="How long after it was made an order that does not show may still arrive: "
        "the venue refuses time stamps older than about a minute, by others' reports. "
        "Unverified [s].",
    )
    late_fill_watch_s: Number = Field(
        600,
        ge=60,
        le=86_400,
        description="How long an order that the venue killed, or matched without a trade to show "
        "for it, may still show fills. Reported, unverified [s].",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """Refuse account settings that contradict each other."""
        all_of(
            (
                (
                    self.session_key and self.funder is None,
                    "funder: must name the deposit wallet that lent the session key",
                ),
                (
                    self.session_key and self.signature_type not in (None, 3),
                    f"signature_type: must be 3 with a session key; was {self.signature_type}",
                ),
                (
                    self.funder is None and self.signature_type in (1, 2, 3),
                    f"funder: must be set with signature_type {self.signature_type}",
                ),
                (
                    (self.relayer_key is None) is not (self.relayer_address is None),
                    "relayer_address: must be set together with relayer_key, or neither",
                ),
                (
                    self.trades_deep_overlap_s < self.trades_overlap_s,
                    f"trades_deep_overlap_s: must be at least trades_overlap_s "
                    f"({self.trades_overlap_s:g}); was {self.trades_deep_overlap_s:g}",
                ),
                (
                    self.arrival_grace_s < self.trades_lag_s,
                    f"arrival_grace_s: must be at least trades_lag_s ({self.trades_lag_s:g}); "
                    f"was {self.arrival_grace_s:g}",
                ),
                (
                    self.late_fill_watch_s < self.arrival_grace_s,
                    f"late_fill_watch_s: must be at least arrival_grace_s "
                    f"({self.arrival_grace_s:g}); was {self.late_fill_watch_s:g}",
                ),
            )
        )
        return self
