"""How a whole gateway is doing: troubles that every request to it meets, whatever it is about."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from reconciler.sandbox.trade import GatewayKind

HANG_S_MAX = 600.0
OFF_S_MAX = 86_400.0


class Trait(StrEnum):
    """What is the matter with a gateway."""

    WELL = "well"
    DOWN = "down"
    """It drops every connection."""
    HANG = "hang"
    """It takes every request and answers none, until it is well again or the asker has gone."""
    THROTTLE = "throttle"
    """It refuses every request as one too many, once it has verified it."""
    WRONG_CLOCK = "wrong_clock"
    """Its Date header is off, and at WeChat the signed timestamp too. Requests are judged by the right time."""


@dataclass(frozen=True, slots=True)
class Condition:
    """The state that a gateway is in."""

    trait: Trait = Trait.WELL
    off: timedelta = timedelta()
    """How far its clock is ahead (behind: negative), while it is wrong."""

    @property
    def clock_off(self) -> timedelta:
        """How far its clock is ahead now."""
        return self.off if self.trait is Trait.WRONG_CLOCK else timedelta()


WELL = Condition()


@dataclass(slots=True)
class Conditions:
    """The condition of each gateway, and a way to wait until it changes."""

    _of: dict[GatewayKind, Condition] = field(default_factory=dict)
    _changed: dict[GatewayKind, asyncio.Event] = field(default_factory=dict)

    def of(self, gateway: GatewayKind) -> Condition:
        """Give a gateway's condition."""
        return self._of.get(gateway, WELL)

    def put(self, gateway: GatewayKind, condition: Condition) -> None:
        """Change it, and let go of whoever waits for that."""
        self._of[gateway] = condition
        self._changed.pop(gateway, asyncio.Event()).set()

    async def while_hanging(self, gateway: GatewayKind) -> None:
        """Wait while the gateway hangs, `HANG_S_MAX` at most."""
        try:
            async with asyncio.timeout(HANG_S_MAX):
                while self.of(gateway).trait is Trait.HANG:
                    await self._changed.setdefault(gateway, asyncio.Event()).wait()
        except TimeoutError:
            return
