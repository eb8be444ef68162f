"""The commands of `polybot copy` with their options; what they do is in the ``cli.copy_*``."""

from typing import Annotated

import typer

from polybot.cli.key_commands import AsJson

copying = typer.Typer(
    help="Look at copy trading, stop it, and let it go on.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

LeaderOption = Annotated[
    str | None,
    typer.Option("--leader", help="Only this leader's: address or name.", metavar="WALLET"),
]
Since = Annotated[
    str | None, typer.Option(help="From this instant on, UTC: 2026-11-22 or 2026-11-22T12:00.")
]
Why = Annotated[str, typer.Argument(help="Why; it is recorded.", metavar="[REASON]")]


@copying.command("stats", epilog="Example: polybot copy stats --since 2026-11-22 --json")
def copy_stats(
    context: typer.Context,
    leader: LeaderOption = None,
    since: Since = None,
    as_json: AsJson = False,
) -> None:
    """Show how late copies are and what became of leaders' trades, by reason.

    Feed lag: from the leader's fill until we heard of it; fills are dated in whole seconds. Our
    own time: from hearing until deciding, and from there until sending. The venue's time: from
    sending until its answer. Percentiles are of the newest 10,000 recorded trades [s].
    """
    from polybot.cli.copy_stats import show_stats

    show_stats(context.obj, leader=leader, since=since, as_json=as_json)


@copying.command("log", epilog="Example: polybot copy log --leader whale --limit 50")
def copy_log(
    context: typer.Context,
    leader: LeaderOption = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Newest rows only.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Print leaders' trades with what was made of each, and why; newest last."""
    from polybot.cli.copy_log import show_log

    show_log(context.obj, leader=leader, since=since, limit=limit, as_json=as_json)


@copying.command("status", epilog="Example: polybot copy status --json | jq .loop.is_running")
def copy_status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show whether copies are wanted, whether a loop runs, and today's counts by leader."""
    from polybot.cli.copy_status import show_status

    show_status(context.obj, as_json=as_json)


@copying.command("pause", epilog='Example: polybot copy pause "away until Monday"')
def copy_pause(context: typer.Context, reason: Why = "by hand", as_json: AsJson = False) -> None:
    """Stop copying everybody until `polybot copy resume`, whatever Prefect starts.

    A running loop ends within seconds: no new copies, orders in flight are recorded. Positions
    stay and settle as usual. One leader alone: `polybot leaders pause`.
    """
    from polybot.cli.copy_wish import pause_copying

    pause_copying(context.obj, reason, as_json=as_json)


@copying.command("resume", epilog='Example: polybot copy resume "back again"')
def copy_resume(context: typer.Context, reason: Why = "by hand", as_json: AsJson = False) -> None:
    """Let copy trading run again; its next scheduled start begins to copy."""
    from polybot.cli.copy_wish import resume_copying

    resume_copying(context.obj, reason, as_json=as_json)
