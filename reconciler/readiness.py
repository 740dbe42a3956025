"""Whether the daemon lives, and does its work: what the watchdog, /healthz, /readyz and `status` go by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from reconciler.domain.standing import KEEPS_FROM_ASKING
from reconciler.flow.channel import Channel
from reconciler.flow.rounds import Rounds
from reconciler.ports import Clock

BEAT_MAX_S = 60.0
"""The rounds give a sign of life far more often, whatever is away; silence for longer is a loop that hangs."""

Role = Literal["leading", "standby", "starting"]


def unwell(rounds: Rounds, clock: Clock) -> tuple[str, ...]:
    """Say that the rounds hang, if they do."""
    silent_s = clock.monotonic() - rounds.beat
    if silent_s < BEAT_MAX_S:
        return ()
    return (f"the rounds have shown no sign of life for {silent_s:.0f} s, and {BEAT_MAX_S:.0f} s are allowed",)


def role_of(rounds: Rounds) -> Role:
    """Say what this daemon is now."""
    if rounds.leading:
        return "leading"
    return "standby" if rounds.standby else "starting"


def unready(rounds: Rounds) -> tuple[str, ...]:
    """Say why the work is not being done now, if it is not. A standby's work is to wait."""
    return tuple(_unready(rounds))


def matters_with(channel: Channel) -> tuple[str, ...]:
    """Name what is the matter with a channel, in the words of the metrics."""
    return tuple(sorted(standing.value for standing in channel.standings))


def _unready(rounds: Rounds) -> Iterator[str]:
    yield from rounds.troubles()
    role = role_of(rounds)
    if role == "starting" and not rounds.troubles():
        yield "the lead is not taken yet"
    if role == "leading" and all(channel.standings & KEEPS_FROM_ASKING for channel in rounds.channels):
        named = (f"{channel.name} ({', '.join(matters_with(channel))})" for channel in rounds.channels)
        yield f"no channel can be asked: {'; '.join(named)}"
