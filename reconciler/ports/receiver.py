"""The shop's own code, as the flow sees it: told of a confirmed payment, it moves the order itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from reconciler.ports.shop import Move


@dataclass(frozen=True, slots=True)
class Accepted:
    """It says that it has acted. That proves nothing: the row tells."""


@dataclass(frozen=True, slots=True)
class Declined:
    """It refuses this order, and would again."""

    status: int
    why: str
    """What it answered: short, printable, without what may be somebody's name, number or address."""


@dataclass(frozen=True, slots=True)
class Undelivered:
    """It could not be reached, or not now. Whether it acted all the same, the row tells."""

    why: str


Told = Accepted | Declined | Undelivered


class Receiver(Protocol):
    """Where `settle.by = "webhook"` sends confirmed payments."""

    async def tell(self, move: Move) -> Told:
        """Tell of one order's payment, once, within one deadline. Never raises.

        The message's id is derived from shop and order: told again, it is the same message.
        """
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...
