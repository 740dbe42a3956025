"""`reconciler status`: what is watched, due, paused and open, and who leads."""

from __future__ import annotations

import json as json_module
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from reconciler.cli.common import AsJson, Config, at, finish, iso, length, pauses, print_json, read, reading, say
from reconciler.control import socket_path
from reconciler.flow.brake import SETTLING_MARK
from reconciler.ops.control_client import ControlError, call
from reconciler.ports import WatchCounts
from reconciler.settings.model import Settings

ANSWER_WITHIN_S = 5.0

Mark = Mapping[str, Any]
"""A mark that holds JSON of ours: `leader`, `channel.paused.NAME`."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger says, and the leader, if one answers."""

    daemon: Mark | None
    leader: Mark | None
    watches: WatchCounts
    cases: Mapping[str, int]
    open_intentions: int
    settling_paused: Mark | None
    paused: Mapping[str, Mark]
    in_doubt: Mapping[str, str]
    walked_at: str | None
    head: tuple[int, str]


def status(*, config: Config = None, json: AsJson = False) -> None:
    """Say what is watched, due and paused, which cases are open, who leads, and when things were last done."""
    known = finish(_gather(read(config)))
    if json:
        print_json(_plain(known))
        return
    for line in _lines(known):
        say(line)


async def _gather(settings: Settings) -> Known:
    ledger = await reading(settings)
    try:
        leader = await ledger.mark("leader")
        settling = await ledger.mark(SETTLING_MARK)
        in_doubt = {name: await ledger.mark(f"channel.in_doubt.{name}") for name in settings.channels}
        return Known(
            daemon=_ask_the_leader(settings),
            leader=json_module.loads(leader) if leader else None,
            watches=await ledger.counts(datetime.now(UTC)),
            cases=Counter(case.kind.value for case in await ledger.cases()),
            open_intentions=len(await ledger.open_intentions()),
            settling_paused=json_module.loads(settling) if settling else None,
            paused=await pauses(ledger, settings.channels),
            in_doubt={name: since for name, since in in_doubt.items() if since},
            walked_at=await ledger.mark("find.walked"),
            head=await ledger.head(),
        )
    finally:
        await ledger.close()


def _ask_the_leader(settings: Settings) -> Mark | None:
    try:
        return call(socket_path(settings), "status", {}, ANSWER_WITHIN_S)
    except ControlError:
        return None


def _lines(known: Known) -> Iterator[str]:
    if known.daemon:
        state = "answering" if known.daemon["leading"] else "running, NOT LEADING"
        yield f"leader    {known.daemon['who']}, mode {known.daemon['mode']}, {state}"
        yield f"          found {_ago(known.daemon['found_at'])}, asked {_ago(known.daemon['asked_at'])}"
        yield from (f"          in trouble: {trouble}" for trouble in known.daemon["troubles"])
    elif known.leader:
        who, mode, since = known.leader["who"], known.leader["mode"], _ago(known.leader["since"])
        yield f"leader    none answers; the last was {who}, mode {mode}, from {since}"
    else:
        yield "leader    none yet"
    watches = known.watches
    oldest = f", the oldest since {_ago(watches.oldest_due_at)}" if watches.oldest_due_at else ""
    yield f"watches   {watches.open} open, {watches.due} due{oldest}; {watches.ended} ended"
    yield f"cases     {sum(known.cases.values())} open"
    yield from (f"          {count} {kind}" for kind, count in known.cases.items())
    if stopped := known.settling_paused:
        yield f"paused    SETTLING since {_ago(stopped['since'])} by {stopped['by']}: {stopped['why']}"
    yield from (f"paused    {name} since {_ago(mark['since'])}: {mark['why']}" for name, mark in known.paused.items())
    for name, since in known.in_doubt.items():
        yield f"in doubt  {name} since {_ago(since)}: every ask came back NotCreated"
    if known.open_intentions:
        yield f"settling  {known.open_intentions} begun and not finished"
    yield f"walked    {_ago(known.walked_at)}"
    entry, digest = known.head
    yield f"ledger    {entry} entries, head {digest[:16]}…"


def _plain(known: Known) -> dict[str, object]:
    """Give it as JSON; the keys are documented in docs/reference/commands.md."""
    watches = known.watches
    return {
        "daemon": known.daemon,
        "leader": known.leader,
        "watches": {
            "open": watches.open,
            "due": watches.due,
            "ended": watches.ended,
            "oldest_due_at": iso(watches.oldest_due_at),
        },
        "cases": dict(known.cases),
        "open_intentions": known.open_intentions,
        "settling_paused": _settling_paused(known.settling_paused),
        "paused": dict(known.paused),
        "in_doubt": dict(known.in_doubt),
        "walked_at": known.walked_at,
        "ledger": {"entries": known.head[0], "head": known.head[1]},
    }


def _settling_paused(stopped: Mark | None) -> dict[str, object] | None:
    return {name: stopped[name] for name in ("since", "by", "why")} if stopped else None


def _ago(moment: datetime | str | None) -> str:
    if not moment:
        return "never"
    moment = moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)
    return f"{at(moment)} ({length(datetime.now(UTC) - moment)} ago)"
