"""A double of `Events` that remembers."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from reconciler.events import Event

_E = TypeVar("_E", bound=Event)


class RecordingEvents:
    """Keeps what is emitted, in order, and wakes whoever waits for it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._arrived: list[asyncio.Event] = []

    def emit(self, event: Event) -> None:
        """Keep one event."""
        self.events.append(event)
        for arrived in self._arrived:
            arrived.set()

    @property
    def names(self) -> list[str]:
        """The events' names, in order."""
        return [event.name for event in self.events]

    def of(self, kind: type[_E]) -> list[_E]:
        """Give the events of one class, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def clear(self) -> None:
        """Forget what came so far."""
        self.events.clear()

    async def seen(self, kind: type[_E], *, count: int = 1, timeout_s: float = 5) -> list[_E]:
        """Wait until so many events of a class have come, in real time. Raises TimeoutError."""
        arrived = asyncio.Event()
        self._arrived.append(arrived)
        try:
            async with asyncio.timeout(timeout_s):
                while len(self.of(kind)) < count:
                    arrived.clear()
                    await arrived.wait()
        finally:
            self._arrived.remove(arrived)
        return self.of(kind)
