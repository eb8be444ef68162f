"""Every command with its options; what a command does is in the module named after it."""

import re
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from polybot.cli.copy_commands import copying
from polybot.cli.key_commands import AsJson, keys
from polybot.cli.leaders_commands import leaders as leader_commands
from polybot.cli.session import Session
from polybot.domain.modes import Mode, TradingState
from polybot.errors import PolybotError

# Private keys have 64 digits; some more or less, where one was cut or typed wrongly. No address.
_KEY: Final = re.compile(r"(?:0[xX])?[0-9a-fA-F]{56,}")


class _OneSentenceGroup(TyperGroup):
    """Tells our own errors in a sentence and a non-zero exit code; others keep their traceback.

    What is no command, option or argument is repeated, unless it could be a private key.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except TyperException as error:
            _hide_keys(error)
            raise

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except TyperException as error:
            _hide_keys(error)
            raise
        except PolybotError as error:
            session = ctx.obj
            if isinstance(session, Session) and session.debug:
                raise
            from polybot.reports.markdown import plain_text

            lines = [plain_text(line, limit=1000) for line in str(error).splitlines()]
            typer.echo("\n  ".join(["polybot: " + (lines or ["failed"])[0], *lines[1:]]), err=True)
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=_OneSentenceGroup,
    help="Trade Polymarket's crypto Up/Down markets, on paper or live. Amounts are in USDC, "
    "prices in USDC per share, times in UTC.",
    epilog="Exit codes: 0 done, 1 failed (one sentence on standard error), 2 wrong usage, "
    "130 interrupted.",
    rich_markup_mode="markdown",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(keys, name="key")
app.add_typer(leader_commands, name="leaders")
app.add_typer(copying, name="copy")

Reason = Annotated[
    str | None, typer.Argument(help="Why; it is recorded and sent to the owner.", metavar="REASON")
]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="The same, as an option.", metavar="REASON")
]


@app.callback()
def _options(
    context: typer.Context,
    home: Annotated[
        Path | None, typer.Option(help="Folder of ledgers and logs; default: POLYBOT_HOME.")
    ] = None,
    mode: Annotated[
        Mode | None, typer.Option(help="Which ledger; default: POLYBOT_MODE, else paper.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    context.obj = Session(home=home, mode=mode, debug=debug)


@app.command(epilog="Example: polybot status --json | jq -r .account.equity_usdc")
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show cash, positions, P&L, limits, trading state and the last runs.

    Works while the bot runs and while it does not. P&L of the day counts open positions at the
    bid [USDC]; the day is a UTC day.
    """
    from polybot.cli.status import show_status

    show_status(context.obj, as_json=as_json)


@app.command(epilog="Example: polybot trades --since 2026-11-22 --csv --output trades.csv")
def trades(
    context: typer.Context,
    *,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Newest rows only; default: 20 in the table, else all."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="From this instant on, UTC: 2026-11-22 or 2026-11-22T12:00.")
    ] = None,
    as_json: AsJson = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the export here, not to stdout.")
    ] = None,
) -> None:
    """Print or export the trade log, oldest first.

    One row for each decision that was not traded, each fill, settlement and deposit. Sizes are
    shares, prices USDC per share, amounts USDC; the cash column adds up to the cash.
    """
    from polybot.cli.trades import ExportFormat, export_trades, show_trades

    chosen = [
        name for name, is_set in (("json", as_json), ("jsonl", jsonl), ("csv", csv)) if is_set
    ]
    if len(chosen) > 1:
        raise typer.BadParameter(f"--{' and --'.join(chosen)} exclude each other")
    if output is not None and not chosen:
        raise typer.BadParameter("--output needs --json, --jsonl or --csv")
    if chosen:
        shape = ExportFormat(chosen[0])
        export_trades(context.obj, shape, limit=limit, since=since, output=output)
    else:
        show_trades(context.obj, limit=limit or 20, since=since)


@app.command(epilog='Example: polybot halt "spreads look wrong"')
def halt(
    context: typer.Context,
    reason: Reason = None,
    reason_option: ReasonOption = None,
    as_json: AsJson = False,
) -> None:
    """Stop all orders, from the next one on, whichever process sends it.

    Works without Prefect, outlives restarts, and is lifted only by `polybot resume`. Positions
    are kept and settle as usual.
    """
    _change(context, TradingState.HALTED, reason or reason_option, as_json=as_json)


@app.command(epilog='Example: polybot reduce "closing for the weekend"')
def reduce(
    context: typer.Context,
    reason: Reason = None,
    reason_option: ReasonOption = None,
    as_json: AsJson = False,
) -> None:
    """Allow only orders that make a position smaller."""
    _change(context, TradingState.REDUCING, reason or reason_option, as_json=as_json)


@app.command(epilog='Example: polybot resume "spreads are back to normal" --yes')
def resume(
    context: typer.Context,
    reason: Reason = None,
    reason_option: ReasonOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Allow trading again after a halt or reduce."""
    _change(context, TradingState.ACTIVE, reason or reason_option, as_json=as_json, ask=not yes)


@app.command(epilog="Example: polybot doctor --ledger --offline")
def doctor(
    context: typer.Context,
    ledger: Annotated[
        bool, typer.Option("--ledger", help="Recompute every running total from history.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Leave out the checks that need the network.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check the installation, one line a check, and say how to mend what is wrong.

    Ends with 1 if any check failed.
    """
    from polybot.cli.doctor import run_doctor

    raise typer.Exit(run_doctor(context.obj, audit=ledger, offline=offline, as_json=as_json))


@app.command(epilog="Example: polybot sandbox --port 8640 --seed 7 --speed 60")
def sandbox(
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Loopback port; 0: the system chooses.")
    ] = 8640,
    seed: Annotated[int, typer.Option(help="What generated prices depend on.")] = 7,
    replay: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder with recorded candles and markets to play; or recorded wallets and frames "
            "of the stream (.jsonl, .json, .gz, or a folder of them). May be given twice."
        ),
    ] = None,
    speed: Annotated[float, typer.Option(min=0.001, help="Virtual seconds a real second.")] = 1.0,
    stepped: Annotated[
        bool, typer.Option("--stepped", help="The clock moves only on POST /sandbox/clock.")
    ] = False,
    leaders: Annotated[
        int, typer.Option(min=0, max=1000, help="Seeded wallets that trade, to be followed.")
    ] = 2,
    leader_rate: Annotated[
        float, typer.Option(min=0, max=6000, help="Transactions a minute of each leader.")
    ] = 4.0,
    noise: Annotated[
        float,
        typer.Option(
            min=0,
            max=1e6,
            help="Messages about everybody else on the stream, a virtual second.",
        ),
    ] = 50.0,
) -> None:
    """Run a venue on this machine; it speaks the real protocols and moves no money.

    Prints {"url": …} once it answers; Ctrl-C stops it. Point the bot at it with
    POLYBOT_MODE=sandbox and POLYBOT_SANDBOX__URL.
    """
    from polybot.cli.stack import run_sandbox

    raise typer.Exit(
        run_sandbox(
            port=port,
            seed=seed,
            replay=replay or [],
            speed=speed,
            stepped=stepped,
            leaders=leaders,
            leader_rate=leader_rate,
            noise=noise,
        )
    )


@app.command(epilog="Example: polybot demo --seed 7 --json")
def demo(
    context: typer.Context,
    *,
    windows: Annotated[int, typer.Option(min=1, help="Consecutive windows to play.")] = 8,
    seed: Annotated[int, typer.Option(help="Same seed: same windows, orders and money.")] = 7,
    replay: Annotated[
        Path | None, typer.Option(help="Folder with recorded candles and markets to play.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything running to look at.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Loopback port of the Prefect server; default: free."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Play windows on the sandbox venue through the real deployment, and show what came of it.

    Needs no account, no key and no internet, and reads no settings. Ends and cleans up by itself;
    with `polybot --home DIR demo` the ledger and the logs stay in that empty folder.
    """
    from polybot.cli.stack import run_demo

    raise typer.Exit(
        run_demo(
            context.obj,
            windows=windows,
            seed=seed,
            replay=replay,
            keep=keep,
            as_json=as_json,
            port=port,
        )
    )


@app.command(epilog="Example: polybot reconcile --json | jq -r .verdict")
def reconcile(
    context: typer.Context,
    accept_difference: Annotated[
        str,
        typer.Option(
            "--accept-difference",
            help="Why you accept cash that nothing explains; it is booked as a transfer.",
            metavar="REASON",
        ),
    ] = "",
    accept_shares: Annotated[
        str,
        typer.Option(
            "--accept-shares",
            help="Why you accept shares that nothing explains: the bot keeps those of its record.",
            metavar="REASON",
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Compare orders, trades, shares and cash with the venue, and book what it proves.

    Orders and trades that are not ours are listed and never touched. A difference that nothing
    explains halts trading; the exit code is 1 then, and where the venue could not tell
    everything. On paper open orders are looked up, there is nothing else to compare.
    """
    from polybot.cli.reconcile import reconcile_by_hand

    reconcile_by_hand(
        context.obj,
        accept_difference=accept_difference.strip(),
        accept_shares=accept_shares.strip(),
        as_json=as_json,
    )


@app.command(epilog="Example: polybot up --port 4200")
def up(
    context: typer.Context,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="On the venue of this machine, not the live one.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Confirm real orders; POLYBOT_MODE=live says it first.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Loopback port of the Prefect server.")
    ] = 4200,
) -> None:
    """Run Prefect, a worker and the deployments on their schedules, until Ctrl-C.

    With POLYBOT_MODE=live it asks for the word `live` before anything starts; where nobody can be
    asked, --live is that word. It counts for this start alone.
    """
    from polybot.cli.stack import run_up

    raise typer.Exit(run_up(context.obj, sandbox=sandbox, live=live, port=port))


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the versions of polybot, Python and Prefect."""
    from polybot.cli.versions import show_versions

    show_versions(as_json=as_json)


def main() -> None:
    """Run the command line of this process."""
    app()


def _hide_keys(error: TyperException) -> None:
    message, count = _KEY.subn("…", error.message)
    if count:
        error.message = (
            f"{message} (not shown, it could be a private key: one that was typed in a command is "
            "in the shell's history, and others may have seen it)"
        )


def _change(
    context: typer.Context,
    state: TradingState,
    reason: str | None,
    *,
    as_json: bool,
    ask: bool = False,
) -> None:
    if reason is None or not reason.strip():
        raise typer.BadParameter("say why: REASON must not be empty")
    from polybot.cli.control import change_trading_state

    change_trading_state(context.obj, state, reason.strip(), as_json=as_json, ask=ask)
