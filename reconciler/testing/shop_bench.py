"""What a shop under test is given: rows, and a table behind it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from reconciler.domain.order import ChannelName, OrderKey, OrderState
from reconciler.ports import Shop

ALIPAY: Final = ChannelName("alipay-main")
WECHAT: Final = ChannelName("wechat-main")
CHANNELS: Final[Mapping[ChannelName, tuple[str, ...]]] = {ALIPAY: ("3", "zfbf2f"), WECHAT: ("5",)}
"""What a bench's shop is configured with."""
IGNORED: Final = "7"
START: Final = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
PAGES_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class Given:
    """A row as a test wants it. `amount_fen` None is NULL."""

    out_trade_no: str
    amount_fen: int | None = 9900
    state: OrderState = OrderState.PENDING
    created_at: datetime = START
    channel: str | None = "3"
    transaction_id: str | None = None
    paid_at: datetime | None = None


class ShopBench(Protocol):
    """A shop with an empty table, `CHANNELS`, `IGNORED` and shared payments, and the table behind it."""

    @property
    def shop(self) -> Shop:
        """The shop under test."""
        ...

    async def rival(self) -> Shop:
        """Open the same table again, as a second daemon would. The bench releases it."""
        ...

    async def put(self, given: Given) -> OrderKey:
        """Insert a row; its order_no is its number."""
        ...

    async def change(self, key: OrderKey, given: Given) -> None:
        """Overwrite a row behind the shop's back."""
        ...

    async def remove(self, key: OrderKey) -> None:
        """Delete a row."""
        ...

    def locking(self, key: OrderKey) -> AbstractAsyncContextManager[None]:
        """Keep a row locked against writing, as another session's open transaction does."""
        ...

    async def snapshot(self) -> Mapping[OrderKey, object]:
        """Give every row whole, comparable."""
        ...
