"""What a command does where nobody leads: it takes lock and pen itself, for as long as it lasts."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.cli.common import fail
from reconciler.control.commands import Commands
from reconciler.events import Event, Severity
from reconciler.events.settling import ChannelPausedByHand, SettlePaused
from reconciler.exit import Exit
from reconciler.ops.clock import SystemClock
from reconciler.ops.control import CommandRefused
from reconciler.ops.log import configure
from reconciler.ports import Events, PortError
from reconciler.settings.inventory import never_printed
from reconciler.settings.model import Settings
from reconciler.shops.sql.mapping import MappingError
from reconciler.wiring import EnvironmentUnusable, assemble


class LockHeld(Exception):
    """Another process holds the shop's lock."""


async def carry_out(
    settings: Settings, command: str, requests: Sequence[Mapping[str, object]]
) -> Sequence[Mapping[str, Any]]:
    """Lead, and carry the requests out one after another; where shop or ledger fail, say so and end.

    Raises LockHeld where another process leads after all.
    """
    log = configure("console")
    log.never_print(never_printed(settings))
    try:
        assembly = await assemble(settings, SystemClock(), _OnlyTrouble(log))
        try:
            if not await assembly.rounds.take_charge(by_hand=True):
                raise LockHeld
            done = Commands(assembly).by_name()[command]
            return [await done({**request, "by": _whoever_this_is()}) for request in requests]
        finally:
            await assembly.close()
    except (PortError, MappingError, EnvironmentUnusable, CommandRefused) as error:
        fail(str(error), Exit.UNFINISHED)
    finally:
        log.close()


def _whoever_this_is() -> str:
    """Name who runs this command, as the control socket would."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = "unnamed"
    return f"{name} (uid {uid}, pid {os.getpid()})"


class _OnlyTrouble:
    """Lets the log have what a person at a terminal needs to know beside the answer: warnings and worse.

    What stands still since before is no news: the answer itself says what is paused, and by whom.
    """

    def __init__(self, log: Events) -> None:
        self._log = log

    def emit(self, event: Event) -> None:
        """Pass a warning on."""
        if event.severity <= Severity.WARNING and not isinstance(event, ChannelPausedByHand | SettlePaused):
            self._log.emit(event)
