"""Lines that come in crowds: a thousand cases at once are twenty lines of a kind and one that counts the others.

One cause makes a thousand cases (a wrong price list, a changed currency), and a log that is full of them hides what
else happens in that minute. Nothing is lost: the ledger has each, `cases list` shows them, and figures and alerts do
not come from lines. Settlements are not bounded here: each is money that moved, and `settle.max_per_minute` is theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from reconciler.events import Event
from reconciler.events.orders import (
    CaseApproved,
    CaseMore,
    CaseOpened,
    CaseReopened,
    CaseResolved,
    CaseSnoozed,
)
from reconciler.ports import Clock

LINES_MAX: Final = 20
"""Of one kind, within a period."""
PERIOD_S: Final = 60.0

_Crowding = CaseOpened | CaseApproved | CaseResolved | CaseReopened | CaseSnoozed
_ENDED: Final = frozenset({CaseResolved.name})
"""What these are about is listed with `--all` only."""


@dataclass(slots=True)
class _Group:
    began_s: float
    lines: int = 0
    more: int = 0


class Crowd:
    """Says of each event whether its line is written; `over` gives the lines that stand for the others."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._groups: dict[tuple[str, str], _Group] = {}
        """By line and kind: both are closed sets."""

    def lets_pass(self, event: Event) -> bool:
        """Whether this event has a line of its own; else it is counted. Ask `over` first."""
        if not isinstance(event, _Crowding):
            return True
        group = self._groups.setdefault((event.name, event.kind), _Group(self._clock.monotonic()))
        if group.lines < LINES_MAX:
            group.lines += 1
            return True
        group.more += 1
        return False

    def over(self, *, at_once: bool = False) -> Iterator[CaseMore]:
        """Give what was counted in periods that have ended; `at_once`: in all."""
        now_s = self._clock.monotonic()
        for name, kind in list(self._groups):
            group = self._groups[name, kind]
            lasted_s = now_s - group.began_s
            if not at_once and lasted_s < PERIOD_S:
                continue
            del self._groups[name, kind]
            if group.more:
                see = f"reconciler cases list --kind {kind}{' --all' if name in _ENDED else ''}"
                within = timedelta(seconds=round(min(lasted_s, PERIOD_S)))
                yield CaseMore(line=name, kind=kind, cases=group.more, within=within, see=see)
