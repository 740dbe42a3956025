"""Shop, replica or ledger away: said once at each end, and waited for longer each time, never for good."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from reconciler.events import Event
from reconciler.events.trouble import (
    LedgerIsAvailable,
    LedgerIsUnavailable,
    ReplicaIsAvailable,
    ReplicaIsUnavailable,
    ShopIsAvailable,
    ShopIsUnavailable,
)
from reconciler.ports import Clock, Events, LedgerUnavailable, PortError, ReplicaUnavailable, ShopUnavailable

WAIT_FIRST_S: Final = 1.0
WAIT_MAX_S: Final = 30.0


@dataclass(slots=True)
class Away:
    """What is away now, since when and why. A kind is the port's own error; the replica's is not the shop's."""

    clock: Clock
    events: Events
    _since: dict[type[PortError], tuple[datetime, str]] = field(default_factory=dict)

    def note(self, error: ShopUnavailable | LedgerUnavailable) -> float:
        """Say once that it is away; give the seconds to wait before it is tried again."""
        kind, now = _kind_of(error), self.clock.now()
        if kind not in self._since:
            self._since[kind] = (now, str(error))
            self.events.emit(_gone(kind, str(error)))
        lasted = now - self._since[kind][0]
        return min(max(WAIT_FIRST_S, lasted.total_seconds() / 2), WAIT_MAX_S)

    def over(self, *kinds: type[PortError]) -> None:
        """Say of each of these that it is back, if it was away."""
        for kind in kinds:
            if kind in self._since:
                since, _ = self._since.pop(kind)
                self.events.emit(_back(kind, self.clock.now() - since))

    def forget(self) -> None:
        """Leave it to another: a standby has no work that could be held up."""
        self._since.clear()

    @property
    def kinds(self) -> frozenset[type[PortError]]:
        """What is away now, as the port's own error says it."""
        return frozenset(self._since)

    def told(self) -> tuple[str, ...]:
        """Say what is away, for whoever asks."""
        return tuple(
            f"{_name(kind)} unavailable since {since.isoformat(timespec='seconds')}: {why}"
            for kind, (since, why) in self._since.items()
        )


def _kind_of(error: PortError) -> type[PortError]:
    kinds = (ReplicaUnavailable, ShopUnavailable, LedgerUnavailable)
    return next(kind for kind in kinds if isinstance(error, kind))


def _name(kind: type[PortError]) -> str:
    if kind is ReplicaUnavailable:
        return "replica (new orders are not found meanwhile)"
    return "shop" if kind is ShopUnavailable else "ledger"


def _gone(kind: type[PortError], why: str) -> Event:
    if kind is ReplicaUnavailable:
        return ReplicaIsUnavailable(why=why)
    return ShopIsUnavailable(why=why) if kind is ShopUnavailable else LedgerIsUnavailable(why=why)


def _back(kind: type[PortError], after: timedelta) -> Event:
    if kind is ReplicaUnavailable:
        return ReplicaIsAvailable(after=after)
    return ShopIsAvailable(after=after) if kind is ShopUnavailable else LedgerIsAvailable(after=after)
