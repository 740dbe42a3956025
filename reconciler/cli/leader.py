"""Who carries a command out: the running leader, or, where nobody leads, this process by itself."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from reconciler.cli.common import fail, finish
from reconciler.control.knock import ask_the_daemon
from reconciler.exit import Exit
from reconciler.ops.control_client import ControlError, NoDaemon
from reconciler.settings.model import Settings

OPENS_WITHIN_S: Final = 5.0
"""Whoever has just taken the lead opens the socket a moment later; meanwhile the lock is held, and nobody answers."""
LOOK_AGAIN_S: Final = 0.2


def have_done(
    settings: Settings, command: str, requests: Sequence[Mapping[str, object]], within_s: float
) -> Iterator[Mapping[str, Any]]:
    """Have requests carried out one after another, and give what came of each; where that fails, say so and end."""
    left = list(requests)
    until: float | None = None
    while left:
        try:
            yield ask_the_daemon(settings, command, left[0], within_s)
        except NoDaemon as nobody:
            done = _by_hand(settings, command, left)
            if done is not None:
                yield from done
                return
            until = until or time.monotonic() + OPENS_WITHIN_S
            if time.monotonic() > until:
                fail(f"Another process holds the shop's lock, and {nobody}.", Exit.LOCKED)
            time.sleep(LOOK_AGAIN_S)
        except ControlError as error:
            fail(f"The daemon did not do it: {error}", Exit.UNFINISHED)
        else:
            del left[0]
            until = None


def _by_hand(
    settings: Settings, command: str, requests: Sequence[Mapping[str, object]]
) -> Sequence[Mapping[str, Any]] | None:
    """Lead for as long as it takes; None where another process leads after all."""
    by_hand = importlib.import_module("reconciler.cli.by_hand")  # the whole program: a leader that answers spares it
    try:
        done: Sequence[Mapping[str, Any]] = finish(by_hand.carry_out(settings, command, requests))
    except by_hand.LockHeld:
        return None
    return done
