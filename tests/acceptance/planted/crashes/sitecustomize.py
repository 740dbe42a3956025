"""Plants faults in a process of the program, by the path that Python itself takes at its start.

`RECONCILER_PLANTED` names a directory: `secrets` in it holds what a careless error would quote, `end` ends the daemon,
and `journal` is where lines for journald go.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from reconciler.cli import explain
from reconciler.domain.answer import Reply
from reconciler.domain.confirm import Subject
from reconciler.domain.decide import decide
from reconciler.domain.decision import Decision
from reconciler.domain.history import History
from reconciler.domain.policy import Policy
from reconciler.flow import ask as asking
from reconciler.flow import find as finding
from reconciler.ops.journald import Journal

PLACE = Path(os.environ["RECONCILER_PLANTED"])


class Planted(Exception):
    """A fault that is not one of the program's."""


def careless(*things: object) -> Planted:
    """Make the error that quotes everything it can lay hands on."""
    held = (PLACE / "secrets").read_text().splitlines()
    raw = "\n".join(held).encode()
    written = [
        repr(held),
        quote("/".join(held)),
        base64.b64encode(raw).decode(),
        base64.b64encode(b"u:" + raw).decode(),
    ]
    return Planted(" ".join([*map(repr, things), *written]))


lines, quick = explain._lines, finding.Finder.quick


def crash(subject: Subject, reply: Reply, history: History, policy: Policy, now: datetime) -> Decision:
    """Break over one order, once its answer is in hand."""
    if subject.attempt.out_trade_no == "CRASH" and reply.evidence is not None:
        body = reply.evidence.body.decode()
        raise careless(reply, subject, body[body.find("buyer_logon_id") - 1 :][:60])
    return decide(subject, reply, history, policy, now)


def crash_told(known: explain.Known) -> Iterator[str]:
    """Break over telling of it."""
    if any(watch.attempt.out_trade_no == "CRASH" for watch in known.story.watches):
        raise careless(known)
    return lines(known)


async def end(self: finding.Finder) -> int:
    """End the daemon when told to."""
    if (PLACE / "end").exists():
        raise careless(self._context)
    return await quick(self)


vars(asking)["decide"], explain._lines = crash, crash_told
finding.Finder.quick = end  # type: ignore[method-assign] # that is what planting is
Journal.__init__.__defaults__ = (PLACE / "journal",)
