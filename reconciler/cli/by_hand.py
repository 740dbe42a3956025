"""What a command does without a daemon: it takes lock and pen itself, for as long as it lasts."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import AsyncIterator

from reconciler.cli.common import fail
from reconciler.events import Event, Severity
from reconciler.exit import Exit
from reconciler.ops.clock import SystemClock
from reconciler.ops.log import configure
from reconciler.ports import Events, PortError
from reconciler.settings.model import Settings
from reconciler.shops.sql.mapping import MappingError
from reconciler.wiring import Assembly, EnvironmentUnusable, assemble


@contextlib.asynccontextmanager
async def in_charge(settings: Settings) -> AsyncIterator[Assembly]:
    """Lead for the length of the block; where another holds the lock, or shop or ledger fail, say so and end."""
    log = configure("console")
    try:
        assembly = await assemble(settings, SystemClock(), _OnlyTrouble(log))
        try:
            if not await assembly.rounds.take_charge(by_hand=True):
                fail("Another process holds the shop's lock, and its control socket does not answer.", Exit.LOCKED)
            yield assembly
        finally:
            await assembly.close()
    except (PortError, MappingError, EnvironmentUnusable) as error:
        fail(str(error), Exit.UNFINISHED)
    finally:
        log.close()


def whoever_this_is() -> str:
    """Name who runs this command, as the control socket would."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = "unnamed"
    return f"{name} (uid {uid}, pid {os.getpid()})"


class _OnlyTrouble:
    """Lets the log have what a person at a terminal needs to know beside the answer: warnings and worse."""

    def __init__(self, log: Events) -> None:
        self._log = log

    def emit(self, event: Event) -> None:
        """Pass a warning on."""
        if event.severity <= Severity.WARNING:
            self._log.emit(event)
