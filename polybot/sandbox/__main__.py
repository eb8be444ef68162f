"""Start the sandbox: ``python -m polybot.sandbox``."""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from polybot.errors import ConfigurationError
from polybot.sandbox.clock import RunningClock, SteppedClock, VenueClock
from polybot.sandbox.exchange.gateway import PrivateGateway
from polybot.sandbox.exchange.ledger_watch import LedgerWatch
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.fault_plan import load_faults
from polybot.sandbox.leaders.recorded import (
    RecordedLeaders,
    is_leader_recording,
    load_leaders,
)
from polybot.sandbox.leaders.stage import LeaderStage
from polybot.sandbox.leaders.wallets import LeaderOptions
from polybot.sandbox.server import SandboxServer, bind_loopback
from polybot.sandbox.venue import SandboxVenue


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    options = _parser().parse_args(arguments)

    def announce(url: str) -> None:
        line = json.dumps({"url": url})
        if options.ready_file is not None:
            # Renamed into place: whoever sees the file sees all of it.
            draft = options.ready_file.with_suffix(".draft")
            draft.write_text(line + "\n", encoding="utf-8")
            draft.replace(options.ready_file)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    try:
        venue = SandboxVenue(
            seed=options.seed,
            replay=_recorded_venue(options.replay),
            v2_share=options.v2_share,
            negative_risk_share=options.negative_risk_share,
        )
        venue.clock = _clock(options, venue)
        stage = LeaderStage(venue, _leader_options(options), recording=_recorded(options, venue))
        watch = None if options.watch_ledger is None else LedgerWatch(options.watch_ledger)
        server = SandboxServer(
            venue,
            bind_loopback(options.port),
            when_ready=announce,
            gateway=PrivateGateway(MatchingExchange(venue), watch),
            plan=None if options.faults is None else load_faults(options.faults, seed=options.seed),
            stage=stage,
        )
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 1

    async def run() -> None:
        server.stop_on_signals()
        await server.serve()

    asyncio.run(run())
    return 0


def _recorded_venue(paths: list[Path]) -> Path | None:
    """Return the folder of candles and markets among the recordings."""
    found = [path for path in paths if not is_leader_recording(path)]
    if len(found) > 1:
        raise ConfigurationError("--replay: one folder with candles and markets is enough")
    return found[0] if found else None


def _recorded(options: argparse.Namespace, venue: SandboxVenue) -> RecordedLeaders | None:
    paths = [path for path in options.replay if is_leader_recording(path)]
    return load_leaders(paths, venue) if paths else None


def _leader_options(options: argparse.Namespace) -> LeaderOptions:
    return LeaderOptions(
        leaders=options.leaders,
        rate=options.leader_rate,
        crowd=options.crowd,
        noise=options.noise,
        stream_lag_ms=round(options.stream_lag * 1000),
        index_lag_ms=round(options.index_lag * 1000),
        cache_s=options.cache_age,
        activity_cache_s=min(options.cache_age, LeaderOptions().activity_cache_s),
    )


def _clock(options: argparse.Namespace, venue: SandboxVenue) -> VenueClock:
    start_s: float | None = options.start
    if start_s is None and venue.replay is not None:
        # A minute before the first window: its market is listed, its price not yet moving.
        start_s = venue.replay.windows[0].start_s - 60
    start_ms = None if start_s is None else round(start_s * 1000)
    if options.stepped:
        return SteppedClock(venue.clock.now_ms() if start_ms is None else start_ms)
    try:
        return RunningClock(start_ms, options.speed)
    except ValueError as error:
        raise ConfigurationError(f"--speed: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m polybot.sandbox",
        description="A venue on this machine: it speaks the real protocols and moves no money.",
    )
    parser.add_argument("--port", type=int, default=8640, help="0: the system chooses (8640)")
    parser.add_argument("--seed", type=int, default=7, help="what generated prices depend on (7)")
    parser.add_argument(
        "--stepped", action="store_true", help="the clock moves only when POST /sandbox/clock says"
    )
    parser.add_argument("--speed", type=float, default=1.0, help="virtual seconds a second (1)")
    parser.add_argument("--start", type=float, help="first instant [epoch s]; default: now")
    parser.add_argument(
        "--replay",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="folder with recorded candles and markets; or recorded wallets and frames of the "
        "stream (.jsonl, .json, .gz, or a folder of them); may be given for both",
    )
    parser.add_argument("--ready-file", type=Path, help="write the URL here once it answers")
    parser.add_argument("--faults", type=Path, help="YAML or JSON file with faults to inject")
    parser.add_argument(
        "--watch-ledger",
        type=Path,
        metavar="PATH",
        help="SQLite ledger in which every order's id must stand before the order arrives",
    )
    parser.add_argument(
        "--v2-share", type=_fraction, default=0.0, help="fraction of markets of version v2 (0)"
    )
    parser.add_argument(
        "--negative-risk-share",
        type=_fraction,
        default=0.0,
        help="fraction of v1 markets on the negative-risk exchange (0)",
    )
    _add_leader_options(parser)
    return parser


def _add_leader_options(parser: argparse.ArgumentParser) -> None:
    leaders = parser.add_argument_group(
        "leaders", "wallets that others may follow: /rtds, /v2/trades?user=…, /chain"
    )
    leaders.add_argument("--leaders", type=int, default=2, help="seeded wallets to follow (2)")
    leaders.add_argument(
        "--leader-rate", type=float, default=4.0, help="transactions a minute of each (4)"
    )
    leaders.add_argument(
        "--crowd", type=int, default=6, help="other wallets, at a quarter of that rate (6)"
    )
    leaders.add_argument(
        "--noise",
        type=float,
        default=50.0,
        help="messages about everybody else on each connection of the stream, a virtual second, "
        "up to 50000 and more (50)",
    )
    leaders.add_argument(
        "--stream-lag", type=float, default=0.8, help="from a fill to the stream [s] (0.8)"
    )
    leaders.add_argument(
        "--index-lag", type=float, default=3.0, help="from a fill to the Data API [s] (3)"
    )
    leaders.add_argument(
        "--cache-age",
        type=int,
        default=300,
        help="how long the same URL of /v2/trades gets the same answer [s] (300)",
    )


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be 0 to 1, was {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
