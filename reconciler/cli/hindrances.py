"""Why nothing happens to an order where nothing does: what stands in the way of asking about it, or of settling it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from reconciler.cli.common import at, process
from reconciler.cli.pauses import pauses
from reconciler.control.knock import ask_the_daemon
from reconciler.flow.brake import SETTLING_MARK
from reconciler.flow.doubt import SAID_MARK
from reconciler.flow.judged import ROW_BUSY, WAITS, WOULD_SETTLE
from reconciler.ledger import SqlLedger
from reconciler.ops.control_client import ControlError
from reconciler.ports import Watch
from reconciler.settings.model import Settings

ANSWER_WITHIN_S: Final = 5.0
PAID: Final = frozenset({WOULD_SETTLE, WAITS, ROW_BUSY})
"""The last decisions on orders that are to be settled, and have not been yet."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the daemon and its channels stand: by the ledger's marks, and by the leader's own word where it answers."""

    paused: Mapping[str, Mapping[str, str]]
    """By channel: since when, and why."""
    in_doubt: Mapping[str, str]
    """By channel: since when."""
    settling_paused: Mapping[str, Any] | None
    leader: Mapping[str, Any] | None
    """Who led last, by the ledger."""
    daemon: Mapping[str, Any] | None
    """What the leader answers to `status`; None where none answers."""
    channels: Sequence[str]
    """As configured."""


async def standing(settings: Settings, ledger: SqlLedger) -> Standing:
    """Look at the ledger's marks, and ask the leader."""
    leader, settling = await ledger.mark("leader"), await ledger.mark(SETTLING_MARK)
    doubts = {name: await ledger.mark(f"{SAID_MARK}{name}") for name in settings.channels}
    try:
        daemon = ask_the_daemon(settings, "status", {}, ANSWER_WITHIN_S)
    except ControlError:
        daemon = None
    return Standing(
        paused=await pauses(ledger, settings.channels),
        in_doubt={name: since for name, since in doubts.items() if since},
        settling_paused=json.loads(settling) if settling else None,
        leader=json.loads(leader) if leader else None,
        daemon=daemon,
        channels=tuple(settings.channels),
    )


def hindrances(watch: Watch, standing: Standing) -> Iterator[str]:
    """Say what keeps this attempt from being asked about, or its order from being settled; of an ended one nothing."""
    if watch.ended_at is not None:
        return
    yield from _of_the_daemon(standing)
    channel = watch.attempt.channel
    if channel not in standing.channels:
        yield f"no channel {channel} is configured any more: it is not asked, until one of that name is"
    elif pause := standing.paused.get(channel):
        by = f" by {pause['by']}" if pause.get("by") else ""
        yield f"the channel has been paused since {_since(pause)}{by}: {pause['why']}"
    elif matters := (standing.daemon or {}).get("channels", {}).get(channel):
        yield f"the channel is {', '.join(matters)}"
    if since := standing.in_doubt.get(channel):
        yield f"the channel has been in doubt since {at(datetime.fromisoformat(since))}: every ask came back NotCreated"
    if standing.settling_paused and watch.last_decision in PAID:
        stopped = standing.settling_paused
        yield f"settling has been paused since {_since(stopped)} by {stopped['by']}: {stopped['why']}"


def _of_the_daemon(standing: Standing) -> Iterator[str]:
    if standing.daemon is None:
        last = standing.leader
        known = f"; the last leader was {process(last['who'])}, from {_since(last)}" if last else ""
        yield f"no daemon answers here: nothing is asked or settled, unless one leads elsewhere{known}"
        return
    if not standing.daemon["leading"] and not standing.daemon["troubles"]:
        yield "the daemon does not lead: another process holds the shop's lock"
    yield from standing.daemon["troubles"]


def _since(mark: Mapping[str, Any]) -> str:
    return at(datetime.fromisoformat(str(mark["since"])))
