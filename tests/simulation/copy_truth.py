"""Compares what a day of copying has recorded with what really happened on the stage."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from polybot.adapters.storage.ledger import open_ledger
from polybot.domain.leaders import CopyRecord, LeaderAddress
from polybot.domain.modes import Mode
from polybot.sandbox.leaders.stage import LeaderStage
from polybot.sandbox.leaders.truth import truth_rows
from tests.simulation.copy_outcomes import DayOutcomes


def compare(found: DayOutcomes, stage: LeaderStage, path: Path, *, since: datetime) -> None:
    """Note every trade that is missing, invented or recorded twice, and what became of all.

    Args:
        found: Takes what was found.
        stage: Knows what happened.
        path: The ledger's.
        since: From when on the leaders are followed.
    """
    rows = truth_rows(list(stage.entries), stage.advance())
    # Rebates and redemptions of nothing change nobody's holdings; the feed skips them by name.
    truth = Counter(
        str(row["key"])
        for row in rows
        if row["is_leader"]
        and int(str(row["at_ms"])) >= since.timestamp() * 1000
        and row["type"] != "MAKER_REBATE"
        and row["size"] != "0"
    )
    with open_ledger(path, mode=Mode.PAPER) as ledger:
        everything = ledger.copy_log()
        # What we sell after a conversion is told as a trade that the leader never made.
        ours = {str(one.trade.key) for one in everything if one.follows_conversion}
        log = [one for one in everything if not one.follows_conversion]
        recorded = Counter(str(one.trade.key) for one in log)
        keys = Counter(recorded)
        for wallet in stage.leaders:
            address = LeaderAddress(wallet.address)
            seen = ledger.seen_keys(address, since=since - timedelta(days=30))
            keys |= Counter(str(key) for key in seen if str(key) not in ours)
        found.audit = list(ledger.violations())
    found.followed, found.recorded = truth.total(), keys.total()
    how = {str(row["key"]): _how_told(row) for row in rows}
    found.missing = [f"{key} ({how[key]})" for key in sorted((truth - keys).elements())]
    found.invented = sorted((keys - truth).elements())
    found.doubled = sorted(key for key, count in recorded.items() if count > 1)
    _count_verdicts(found, log)


def _count_verdicts(found: DayOutcomes, log: Sequence[CopyRecord]) -> None:
    for one in log:
        found.reasons[one.reason_code or one.verdict.value] += 1
        if one.verdict.value == "placed":
            found.placed += 1
            age_s = (one.decided_at - one.trade.traded_at).total_seconds()
            found.oldest_copy_s = max(found.oldest_copy_s, age_s)


def _how_told(row: dict[str, Any]) -> str:
    listed_s = (int(row["index_ms"]) - int(row["at_ms"])) / 1000
    streamed = "not streamed" if row["stream_ms"] is None else "streamed"
    return f"{streamed}, listed {listed_s:.0f} s later"
