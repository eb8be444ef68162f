"""The second word of live trading: asked of a person, or given on the command line.

`prefect deploy` writes ``live: false`` each time, as prefect.yaml has it. So the word that a person
gives to `polybot up` counts for this start alone: it is written into the deployments after they
were deployed, and the next deployment takes it back.
"""

import sys
from typing import TYPE_CHECKING, Final

from polybot.bootstrap import Access, open_bot
from polybot.config import Settings
from polybot.domain.modes import Mode
from polybot.errors import ConfigurationError

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

WORD: Final = "live"
TRADING: Final = ("trend/updown-15m", "settle/every-minute", "copy-trading/leaders")
"""Deployments with the parameter ``live``."""
LISTENING: Final = ("follow/live",)
"""Deployments whose schedule is of use in live mode alone."""


async def require_second_word(settings: Settings, *, is_given: bool) -> None:
    """Return once real orders are wanted and allowed; nothing was started before.

    Args:
        settings: Of live mode; anything else needs no word and takes none.
        is_given: The word stands on the command line already.

    Raises:
        ConfigurationError: Something is missing, all of it named; or nobody gave the word.
    """
    if settings.mode is not Mode.LIVE:
        if is_given:
            raise ConfigurationError(
                f"--live is the second word, POLYBOT_MODE=live is the first: it is {settings.mode}"
            )
        return
    async with open_bot(settings, access=Access.ORDERS) as bot:
        bot.require_orders()
    if not is_given:
        _ask(settings)


async def give_second_word(client: "PrefectClient") -> None:
    """Set ``live: true`` in the deployments that trade, and let the listening ones run."""
    from prefect.client.schemas.actions import DeploymentUpdate  # noqa: PLC0415

    for name in TRADING:
        found = await client.read_deployment_by_name(name)
        parameters = {**found.parameters, "live": True}
        await client.update_deployment(found.id, DeploymentUpdate(parameters=parameters))
    for name in LISTENING:
        found = await client.read_deployment_by_name(name)
        for schedule in found.schedules:
            await client.update_deployment_schedule(found.id, schedule.id, active=True)


def _ask(settings: Settings) -> None:
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "nobody is there to confirm real orders: start with `polybot up --live`"
        )
    risk = settings.risk
    funder = settings.live.funder or "the key's own address"
    sys.stderr.write(
        f"Real money of {funder}: {risk.stake_usdc:f} USDC a trade, at most "
        f"{risk.max_exposure_usdc:f} at risk and {risk.max_daily_loss_usdc:f} lost a day.\n"
        f"Type {WORD} to send real orders, anything else to stop: "
    )
    sys.stderr.flush()
    if sys.stdin.readline().strip() != WORD:
        raise ConfigurationError("not confirmed: nothing was started")
