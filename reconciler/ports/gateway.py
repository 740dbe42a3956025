"""One channel's way to its gateway, and its pace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from reconciler.domain.answer import Answer, Merchant, Reply
from reconciler.domain.order import ChannelName


class Gateway(Protocol):
    """One channel's way to its gateway."""

    @property
    def channel(self) -> ChannelName:
        """The channel's name."""
        ...

    @property
    def kind(self) -> str:
        """The kind of gateway, `alipay`."""
        ...

    @property
    def merchant(self) -> Merchant:
        """Whom this channel's trades must have paid."""
        ...

    async def ask(self, out_trade_nos: Sequence[str]) -> Sequence[Reply]:
        """Ask about each number, within the channel's pace. One reply each, in order; never raises."""
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


class Pacer(Protocol):
    """One channel's rate, concurrency and breaker."""

    def room(self) -> int:
        """How many asks may be started now; 0 while the breaker is open."""
        ...

    async def enter(self) -> None:
        """Wait for a turn; every `enter` is followed by one `leave`."""
        ...

    def leave(self, answer: Answer) -> None:
        """Give the turn back, and learn from the answer."""
        ...
