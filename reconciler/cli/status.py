"""`reconciler status`: what is watched, due, paused and open, and who leads."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.cli.common import AsJson, Config, at, finish, iso, length, print_json, process, read, reading, say
from reconciler.cli.pauses import pauses
from reconciler.control.knock import ask_the_daemon
from reconciler.flow.brake import SETTLING_MARK, THE_BRAKE
from reconciler.flow.stay_book import FIGURES_MARK, Figure, figures_of
from reconciler.ledger.size import LedgerSize
from reconciler.ops.control_client import ControlError
from reconciler.ports import OpenCases, WatchCounts
from reconciler.settings.model import Settings
from reconciler.settings.types import format_duration

ANSWER_WITHIN_S = 5.0
HOUR = timedelta(hours=1)
MEGABYTE = 1_000_000

Mark = Mapping[str, Any]
"""A mark that holds JSON of ours: `leader`, `channel.paused.NAME`."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger says, and the leader, if one answers."""

    daemon: Mark | None
    leader: Mark | None
    watches: WatchCounts
    cases: Mapping[str, OpenCases]
    settled: int
    """Orders within the last hour."""
    open_intentions: int
    settling_paused: Mark | None
    paused: Mapping[str, Mark]
    in_doubt: Mapping[str, str]
    limits: Mapping[str, tuple[timedelta, Figure]]
    """By status: how long an order may stay, and what the last walk counted."""
    walked_at: str | None
    head: tuple[int, str]
    size: LedgerSize
    untold: int = 0
    """Open cases that no target of [alerts] has taken."""
    has_targets: bool = True
    """Whether [alerts] names one."""


def status(*, config: Config = None, json: AsJson = False) -> None:
    """Say what is watched, due and paused, which cases are open, who leads, and when things were last done."""
    known = finish(_gather(read(config, asks=False)))
    if json:
        print_json(_plain(known))
        return
    for line in _lines(known):
        say(line)


async def _gather(settings: Settings) -> Known:
    ledger, now = await reading(settings), datetime.now(UTC)
    try:
        leader = await ledger.mark("leader")
        settling = await ledger.mark(SETTLING_MARK)
        in_doubt = {name: await ledger.mark(f"channel.in_doubt.{name}") for name in settings.channels}
        return Known(
            daemon=_ask_the_leader(settings),
            leader=json_module.loads(leader) if leader else None,
            watches=await ledger.counts(now),
            cases=dict(sorted((kind.value, found) for kind, found in (await ledger.open_cases()).items())),
            settled=(await ledger.settled(now - HOUR)).orders,
            open_intentions=len(await ledger.open_intentions()),
            settling_paused=json_module.loads(settling) if settling else None,
            paused=await pauses(ledger, settings.channels),
            in_doubt={name: since for name, since in in_doubt.items() if since},
            limits=_limits(settings, await ledger.mark(FIGURES_MARK)),
            walked_at=await ledger.mark("find.walked"),
            head=await ledger.head(),
            size=await ledger.size(),
            untold=await ledger.untold(),
            has_targets=bool(settings.alerts.targets or settings.alerts.also),
        )
    finally:
        await ledger.close()


def _ask_the_leader(settings: Settings) -> Mark | None:
    try:
        return ask_the_daemon(settings, "status", {}, ANSWER_WITHIN_S)
    except ControlError:
        return None


def _lines(known: Known) -> Iterator[str]:
    if known.daemon:
        state = "answering" if known.daemon["leading"] else "running, NOT LEADING"
        yield f"leader    {process(known.daemon['who'])}, mode {known.daemon['mode']}, {state}"
        yield f"          found {_ago(known.daemon['found_at'])}, asked {_ago(known.daemon['asked_at'])}"
        yield from (f"          in trouble: {trouble}" for trouble in known.daemon["troubles"])
        for name, matters in known.daemon.get("channels", {}).items():
            yield f"channel   {name}: {', '.join(matters) or 'well'}"
    elif known.leader:
        who, mode, since = process(known.leader["who"]), known.leader["mode"], _ago(known.leader["since"])
        yield f"leader    none answers; the last was {who}, mode {mode}, from {since}"
        yield "          `systemctl status reconciler` and `journalctl -u reconciler -n 50` there say why"
    else:
        yield "leader    none yet"
    watches = known.watches
    oldest = f", the oldest since {_ago(watches.oldest_due_at)}" if watches.oldest_due_at else ""
    yield f"watches   {watches.open} open, {watches.due} due{oldest}; {watches.ended} ended"
    yield f"settled   {known.settled} in the last hour"
    yield f"cases     {sum(each.count for each in known.cases.values())} open{_untold(known)}"
    yield from (
        f"          {each.count} {kind}, the oldest since {_ago(each.oldest_at)}" for kind, each in known.cases.items()
    )
    if stopped := known.settling_paused:
        yield f"paused    SETTLING since {_ago(stopped['since'])} by {stopped['by']}: {stopped['why']}"
        yield f"          {_ends('--settling', at_once=stopped['by'] != THE_BRAKE)}"
    for name, mark in known.paused.items():
        by = f" by {mark['by']}" if mark.get("by") else ""
        yield f"paused    {name} since {_ago(mark['since'])}{by}: {mark['why']}"
        yield f"          {_ends(f'--channel {name}') if by else 'it is probed, and goes on by itself once that works'}"
    for name, since in known.in_doubt.items():
        yield f"in doubt  {name} since {_ago(since)}: every ask came back NotCreated"
    yield from (f"limits    {line}" for line in map(_limit_line, known.limits, known.limits.values()))
    if known.open_intentions:
        yield f"settling  {known.open_intentions} begun and not finished"
    yield f"walked    {_ago(known.walked_at)}"
    entry, digest = known.head
    size = "" if known.size.bytes is None else f", {known.size.bytes / MEGABYTE:.1f} MB"
    yield f"ledger    {entry} entries{size}, head {digest[:16]}…"


def _untold(known: Known) -> str:
    if not known.untold:
        return ""
    if not known.has_targets:
        return "; nobody is told of them: [alerts] names no target"
    return f", {known.untold} of them UNTOLD: no target has taken the news; try `reconciler alerts test`"


def _ends(what: str, *, at_once: bool = True) -> str:
    """Say what ends a pause: of the brake's, that some of what it settled is to be looked at before."""
    if at_once:
        return f"`reconciler resume {what}` ends it"
    return f"compare some of what was settled with shop and gateway; if it is right, `reconciler resume {what}`"


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
        "settled_last_hour": known.settled,
        "cases": {kind: each.count for kind, each in known.cases.items()},
        "cases_oldest_at": {kind: iso(each.oldest_at) for kind, each in known.cases.items()},
        "untold_cases": known.untold,
        "open_intentions": known.open_intentions,
        "settling_paused": _settling_paused(known.settling_paused),
        "paused": dict(known.paused),
        "in_doubt": dict(known.in_doubt),
        "processing_limits": [
            {
                "status": status,
                "limit_s": limit.total_seconds(),
                "stalled": figure.over,
                "oldest_since": iso(figure.oldest),
                "crowded": figure.crowded,
            }
            for status, (limit, figure) in known.limits.items()
        ],
        "walked_at": known.walked_at,
        "ledger": {
            "entries": known.head[0],
            "head": known.head[1],
            "bytes": known.size.bytes,
            "disk_free_bytes": known.size.free_bytes,
        },
    }


def _limits(settings: Settings, kept: str | None) -> Mapping[str, tuple[timedelta, Figure]]:
    figures = figures_of(kept)
    return {status: (limit, figures.get(status, Figure())) for status, limit in settings.processing_limits.items()}


def _limit_line(status: str, known: tuple[timedelta, Figure]) -> str:
    limit, figure = known
    oldest = f", the oldest since {_ago(figure.oldest)}" if figure.oldest else ""
    crowded = "; MORE REST IN IT THAN ARE LOOKED AT" if figure.crowded else ""
    return f"status {status}: {figure.over} for longer than {format_duration(limit)}{oldest}{crowded}"


def _settling_paused(stopped: Mark | None) -> dict[str, object] | None:
    return {name: stopped[name] for name in ("since", "by", "why")} if stopped else None


def _ago(moment: datetime | str | None) -> str:
    if not moment:
        return "never"
    moment = moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)
    return f"{at(moment)} ({length(datetime.now(UTC) - moment)} ago)"
