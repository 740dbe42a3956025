"""A gateway whose asks are counted."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.domain.answer import Merchant, Reply
from reconciler.domain.closing import CloseReply
from reconciler.domain.order import ChannelName
from reconciler.ops.metrics import Metrics
from reconciler.ports import Gateway

MS_PER_S = 1000


class MeasuredGateway:
    """Stands before a gateway and feeds the metrics, so that neither the flow nor the gateway knows of them."""

    def __init__(self, gateway: Gateway, metrics: Metrics) -> None:
        self._gateway = gateway
        self._metrics = metrics

    @property
    def channel(self) -> ChannelName:
        """The channel's name."""
        return self._gateway.channel

    @property
    def kind(self) -> str:
        """The kind of gateway."""
        return self._gateway.kind

    @property
    def merchant(self) -> Merchant:
        """Whom this channel's trades must have paid."""
        return self._gateway.merchant

    async def ask(self, out_trade_nos: Sequence[str]) -> Sequence[Reply]:
        """Ask, and count each answer with the time it took."""
        replies = await self._gateway.ask(out_trade_nos)
        for reply in replies:
            self._metrics.channels.asked(self.channel, reply.answer, reply.duration_ms / MS_PER_S)
        return replies

    async def close_trade(self, out_trade_no: str) -> CloseReply:
        """Have the trade closed."""
        return await self._gateway.close_trade(out_trade_no)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._gateway.close()
