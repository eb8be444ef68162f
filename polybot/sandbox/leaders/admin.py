"""The sandbox's own routes about wallets: who there is, what has happened, what shall happen."""

from dataclasses import replace
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from polybot.errors import ConfigurationError
from polybot.sandbox.leaders.by_hand import ActRequest, act
from polybot.sandbox.leaders.rtds import RtdsRoutes
from polybot.sandbox.leaders.stage import LeaderStage
from polybot.sandbox.leaders.truth import truth_rows
from polybot.sandbox.leaders.wallets import Behaviour, leader
from polybot.sandbox.leaders.wording import Json
from polybot.sandbox.wire import json_answer, query_int


class _OptionsRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    leaders: int | None = None
    behaviour: Behaviour | None = None
    noise: float | None = None
    stream_lag_ms: int | None = None
    index_lag_ms: int | None = None
    chain_lag_ms: int | None = None
    positions_lag_ms: int | None = None
    cache_s: int | None = None
    activity_cache_s: int | None = None


class _FailRequest(msgspec.Struct, forbid_unknown_fields=True):
    transaction_hash: str


class _StreamRequest(msgspec.Struct, forbid_unknown_fields=True):
    action: Literal["freeze", "lapse", "close"]
    duration_s: int = 60


class LeaderAdminRoutes:
    """Handlers over one stage and its stream."""

    def __init__(self, stage: LeaderStage, rtds: RtdsRoutes) -> None:
        """Take what is controlled."""
        self._stage = stage
        self._rtds = rtds

    def routes(self) -> list[Route]:
        """Return every route."""
        return [
            Route("/sandbox/leaders", self.show, methods=["GET"]),
            Route("/sandbox/leaders", self.change, methods=["POST"]),
            Route("/sandbox/leaders/trades", self.trades, methods=["GET"]),
            Route("/sandbox/leaders/trades", self.act, methods=["POST"]),
            Route("/sandbox/leaders/fail", self.fail, methods=["POST"]),
            Route("/sandbox/leaders/stream", self.disturb, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """Tell who trades, how late each source is, and what the stream has sent."""
        return json_answer(self._summary())

    async def change(self, request: Request) -> Response:
        """Change lags, noise, the number of leaders or their habits, from now on."""
        try:
            wanted = msgspec.json.decode(await request.body(), type=_OptionsRequest)
            asked = msgspec.to_builtins(wanted)
            changed = {name: value for name, value in asked.items() if value is not None}
            changed.pop("behaviour", None)
            stage = self._stage
            stage.options = replace(stage.options, **changed)
        except (msgspec.DecodeError, ConfigurationError) as error:
            return json_answer({"error": str(error)}, 400)
        if wanted.leaders is not None or wanted.behaviour is not None:
            self._recast(wanted)
        self._rtds.wake()
        return json_answer(self._summary())

    def _recast(self, wanted: _OptionsRequest) -> None:
        stage = self._stage
        count = len(stage.leaders) if wanted.leaders is None else wanted.leaders
        known = {one.address: one.behaviour for one in stage.leaders}
        usual = Behaviour(rate=stage.options.rate)
        cast = [leader(stage.venue.seed, index, usual) for index in range(count)]
        cast = [
            replace(one, behaviour=wanted.behaviour or known.get(one.address, usual))
            for one in cast
        ]
        stage.set_wallets([*cast, *(one for one in stage.wallets if not one.is_leader)])

    async def trades(self, request: Request) -> Response:
        """Tell everything that leaders have ever done, in order; ``everybody=true`` all others too.

        ``after`` gives only what has a larger number, ``leader`` only one wallet's.
        """
        try:
            after = query_int(request, "after", default=0) or 0
        except ValueError as error:
            return json_answer({"error": str(error)}, 400)
        now_ms = self._stage.advance()
        wallet = request.query_params.get("leader", "").lower()
        is_everybody = request.query_params.get("everybody", "") == "true"
        rows = [
            row
            for row in truth_rows(list(self._stage.entries), now_ms)
            if (row["wallet"] == wallet if wallet else row["is_leader"] or is_everybody)
            and int(str(row["number"])) > after
        ]
        return json_answer({"now_ms": now_ms, "trades": rows})

    async def act(self, request: Request) -> Response:
        """Let a wallet trade, split, merge or redeem now."""
        try:
            wanted = msgspec.json.decode(await request.body(), type=ActRequest)
            entries = act(self._stage, wanted)
        except (msgspec.DecodeError, ValueError) as error:
            return json_answer({"error": str(error)}, 400)
        return json_answer({"trades": truth_rows(entries, self._stage.advance())})

    async def fail(self, request: Request) -> Response:
        """Undo a transaction now."""
        try:
            wanted = msgspec.json.decode(await request.body(), type=_FailRequest)
        except msgspec.DecodeError as error:
            return json_answer({"error": str(error)}, 400)
        now_ms = self._stage.advance()
        entries = self._stage.fail(wanted.transaction_hash, now_ms)
        if not entries:
            return json_answer({"error": "no such transaction, or it has failed already"}, 404)
        return json_answer({"trades": truth_rows(entries, now_ms)})

    async def disturb(self, request: Request) -> Response:
        """Silence, lapse or close every connection of the stream."""
        try:
            wanted = msgspec.json.decode(await request.body(), type=_StreamRequest)
        except msgspec.DecodeError as error:
            return json_answer({"error": str(error)}, 400)
        if wanted.action == "freeze":
            count = self._rtds.freeze(wanted.duration_s * 1000)
        else:
            count = self._rtds.lapse() if wanted.action == "lapse" else self._rtds.end()
        return json_answer({"connections": count})

    def _summary(self) -> Json:
        stage = self._stage
        now_ms = stage.advance()
        return {
            "now_ms": now_ms,
            "wallets": [
                {
                    "address": one.address,
                    "name": one.name,
                    "is_leader": one.is_leader,
                    "behaviour": msgspec.to_builtins(one.behaviour),
                }
                for one in stage.wallets
            ],
            "options": msgspec.to_builtins(stage.options),
            "events": len(stage.entries),
            "stream": self._rtds.summary(),
        }
