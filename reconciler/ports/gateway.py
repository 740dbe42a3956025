"""One channel's way to its gateway, and its pace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from reconciler.domain.answer import Answer, Merchant, Reply
from reconciler.domain.closing import CloseReply
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

    async def close_trade(self, out_trade_no: str) -> CloseReply:
        """Have the gateway close a trade, so that it can no longer be paid; within the channel's pace. Never raises.

        Safe to repeat. It proves nothing: what became of the trade, the next answer to `ask` tells.
        """
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


class Pacer(Protocol):
    """One channel's rate, concurrency and breaker."""

    @property
    def is_open(self) -> bool:
        """Whether the breaker keeps us from asking, but for a probe now and then."""
        ...

    def room(self) -> int:
        """How many asks may be started now; 0 while the breaker is open."""
        ...

    async def enter(self) -> None:
        """Wait for a turn; every `enter` is followed by one `leave`."""
        ...

    async def again(self) -> None:
        """Wait for another start within the turn that is held: for a quick retry."""
        ...

    def leave(self, answer: Answer | None) -> None:
        """Give the turn back, and learn from the answer; None: the gateway is well, and that is all."""
        ...


class Memory(Protocol):
    """What one channel's gateway keeps across restarts. It is a cache: losing it costs a question, never an answer."""

    async def recall(self, name: str) -> str | None:
        """Give what was kept under the name; None where nothing was. Raises PortError."""
        ...

    async def remember(self, name: str, text: str) -> None:
        """Keep a text of at most a megabyte, in place of what was kept before. No secret. Raises PortError."""
        ...
