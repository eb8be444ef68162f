"""The commands of `polybot leaders` with their options; what they do is in ``cli.leaders``."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer

from polybot.cli.key_commands import AsJson
from polybot.domain.leaders import Sizing, SmallCopies

leaders = typer.Typer(
    help="Choose whom to copy, and how. Changes count at once, also while copy trading runs.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Wallet = Annotated[
    str,
    typer.Argument(
        help="The leader's address on the venue (its proxy wallet), or the name you gave it.",
        metavar="WALLET",
    ),
]
Why = Annotated[str, typer.Argument(help="Why; it is recorded.", metavar="[REASON]")]
Name = Annotated[str | None, typer.Option("--name", help="Your own name for it.")]

# One alias an option of a policy: `add` and `set` take the same.
_Sizing = Annotated[
    Sizing | None,
    typer.Option(
        "--sizing",
        help="proportional: SCALE × the leader's stake. fixed: FIXED, whatever it staked. "
        "equity_ratio: SCALE × its stake × our equity / its equity. position_target: what is "
        "missing until we hold SCALE × its position.",
    ),
]
_Scale = Annotated[str | None, typer.Option("--scale", help="[fraction]", metavar="FRACTION")]
_Fixed = Annotated[
    str | None, typer.Option("--fixed", help="Stake of every copy [USDC].", metavar="USDC")
]
_Equity = Annotated[
    str | None,
    typer.Option("--leader-equity", help="The leader's, for equity_ratio [USDC].", metavar="USDC"),
]
_MaxTrade = Annotated[
    str | None, typer.Option("--max-trade", help="Most on one copy [USDC].", metavar="USDC")
]
_MaxMarket = Annotated[
    str | None,
    typer.Option("--max-market", help="Most in one market through it [USDC].", metavar="USDC"),
]
_MaxLeader = Annotated[
    str | None,
    typer.Option("--max-leader", help="Most in all its open copies [USDC].", metavar="USDC"),
]
_MaxDay = Annotated[
    str | None,
    typer.Option("--max-day", help="Most in a UTC day through it [USDC].", metavar="USDC"),
]
_MinStake = Annotated[
    str | None,
    typer.Option("--min-leader-stake", help="Smaller trades are skipped [USDC].", metavar="USDC"),
]
_MaxAge = Annotated[
    float | None,
    typer.Option("--max-age", help="Oldest trade to copy, from its fill on [s].", metavar="S"),
]
_MaxConversionAge = Annotated[
    float | None,
    typer.Option(
        "--max-conversion-age",
        help="The same for merges and redemptions, which are told late [s].",
        metavar="S",
    ),
]
_PriceAbove = Annotated[
    str | None,
    typer.Option(
        "--max-price-above",
        help="Worse than the leader's price by at most this [USDC/share] …",
        metavar="PRICE",
    ),
]
_PriceFraction = Annotated[
    str | None,
    typer.Option(
        "--max-price-fraction",
        help="… and by at most this part of it; the tighter holds [fraction].",
        metavar="FRACTION",
    ),
]
_FromBook = Annotated[
    str | None,
    typer.Option(
        "--max-from-book",
        help="A leader's price further from our book is bait [USDC/share].",
        metavar="PRICE",
    ),
]
_Sides = Annotated[
    list[str] | None,
    typer.Option("--side", help="BUY or SELL; may be given twice. SELL mirrors exits."),
]
_Series = Annotated[
    list[str] | None,
    typer.Option("--series", help="Only these, such as btc-15m; `all` for all. Repeatable."),
]
_Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", help="Only these assets or durations: btc, 15m; `all`. Repeatable."),
]
_Slugs = Annotated[
    list[str] | None,
    typer.Option("--slug", help="Only markets named like this pattern; `all`. Repeatable."),
]
_MinPrice = Annotated[
    str | None, typer.Option("--min-price", help="Of the leader [USDC/share].", metavar="PRICE")
]
_MaxPrice = Annotated[
    str | None,
    typer.Option("--max-price", help="Of the leader, and ours [USDC/share].", metavar="PRICE"),
]
_TimeLeft = Annotated[
    int | None,
    typer.Option("--min-time-left", help="Least time to the window's end [s].", metavar="S"),
]
_Small = Annotated[
    SmallCopies | None,
    typer.Option("--small-copies", help="What becomes of copies below the venue's minimum."),
]
_Accumulate = Annotated[
    float | None,
    typer.Option("--accumulate", help="How long they wait for company [s].", metavar="S"),
]
_Repeats = Annotated[
    int | None,
    typer.Option(
        "--max-repeats", help="So many copies within --repeat-window, then it is throttled."
    ),
]
_RepeatWindow = Annotated[
    float | None, typer.Option("--repeat-window", help="See --max-repeats [s].", metavar="S")
]
_Flip = Annotated[
    float | None,
    typer.Option(
        "--flip", help="A BUY this close to a SELL is not copied; 0: it is [s].", metavar="S"
    ),
]


# In the order of the help text.
_POLICY: Final[dict[str, Any]] = {
    "sizing": _Sizing,
    "scale": _Scale,
    "fixed": _Fixed,
    "leader_equity": _Equity,
    "max_trade": _MaxTrade,
    "max_market": _MaxMarket,
    "max_leader": _MaxLeader,
    "max_day": _MaxDay,
    "min_leader_stake": _MinStake,
    "max_age": _MaxAge,
    "max_conversion_age": _MaxConversionAge,
    "max_price_above": _PriceAbove,
    "max_price_fraction": _PriceFraction,
    "max_from_book": _FromBook,
    "side": _Sides,
    "series": _Series,
    "tag": _Tags,
    "slug": _Slugs,
    "min_price": _MinPrice,
    "max_price": _MaxPrice,
    "min_time_left": _TimeLeft,
    "small_copies": _Small,
    "accumulate": _Accumulate,
    "max_repeats": _Repeats,
    "repeat_window": _RepeatWindow,
    "flip": _Flip,
}


def _with_policy(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command every option of a policy, none of them required, before its last one."""
    signature = inspect.signature(command)
    *own, last = (p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD)
    options = [
        inspect.Parameter(name, last.kind, default=None, annotation=kind)
        for name, kind in _POLICY.items()
    ]
    with_options: Any = command
    with_options.__signature__ = signature.replace(parameters=[*own, *options, last])
    with_options.__annotations__ |= _POLICY
    return command


@leaders.command("add", epilog="Example: polybot leaders add 0xabc… --name whale --scale 0.05")
@_with_policy
def leaders_add(
    context: typer.Context,
    wallet: Wallet,
    name: Name = None,
    as_json: AsJson = False,
    **_policy: Any,
) -> None:
    """Follow a wallet: its trades from now on are copied, nothing from the past is.

    Look at it first with `polybot leaders show`. What is not given keeps its cautious default;
    the risk limits apply beside it, to all leaders together.
    """
    from polybot.cli.leaders import add_leader

    add_leader(context.obj, wallet, name, context.params, as_json=as_json)


@leaders.command("set", epilog="Example: polybot leaders set whale --max-day 20 --series btc-15m")
@_with_policy
def leaders_set(
    context: typer.Context, wallet: Wallet, as_json: AsJson = False, **_policy: Any
) -> None:
    """Change how a leader is copied; what is not given stays as it is."""
    from polybot.cli.leaders import set_policy

    set_policy(context.obj, wallet, context.params, as_json=as_json)


@leaders.command("list", epilog="Example: polybot leaders list --json | jq -r '.leaders[].wallet'")
def leaders_list(context: typer.Context, as_json: AsJson = False) -> None:
    """Show everybody who is followed, with policy, state, and what was spent through them."""
    from polybot.cli.leaders import list_leaders

    list_leaders(context.obj, as_json=as_json)


@leaders.command("pause", epilog='Example: polybot leaders pause whale "strange trades"')
def leaders_pause(
    context: typer.Context, wallet: Wallet, reason: Why = "by hand", as_json: AsJson = False
) -> None:
    """Copy a leader no more for now; its trades are recorded as skipped.

    What we hold through it stays and settles as usual: its exits are not mirrored either, as they
    are while it is throttled.
    """
    from polybot.cli.leaders import pause_leader

    pause_leader(context.obj, wallet, reason, as_json=as_json)


@leaders.command("resume", epilog='Example: polybot leaders resume whale "looked at, it is fine"')
def leaders_resume(
    context: typer.Context, wallet: Wallet, reason: Why = "by hand", as_json: AsJson = False
) -> None:
    """Copy a leader again: lifts a pause and the throttle of repeated copies."""
    from polybot.cli.leaders import resume_leader

    resume_leader(context.obj, wallet, reason, as_json=as_json)


@leaders.command("remove", epilog='Example: polybot leaders remove whale "enough"')
def leaders_remove(
    context: typer.Context, wallet: Wallet, reason: Why = "by hand", as_json: AsJson = False
) -> None:
    """Follow a wallet no more; what is recorded of it stays, and our positions settle as usual."""
    from polybot.cli.leaders import remove_leader

    remove_leader(context.obj, wallet, reason, as_json=as_json)


@leaders.command("show", epilog="Example: polybot leaders show 0xabc… --limit 500")
def leaders_show(
    context: typer.Context,
    wallet: Wallet,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="Newest trades to look at [trades].")
    ] = 200,
    as_json: AsJson = False,
) -> None:
    """Show what the venue knows of a wallet, followed or not: trades, positions, P&L, habits."""
    from polybot.cli.leaders_show import show_leader

    show_leader(context.obj, wallet, limit=limit, as_json=as_json)
