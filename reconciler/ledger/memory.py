"""What a channel's gateway keeps across restarts, in the ledger's marks."""

from __future__ import annotations

from reconciler.domain.order import ChannelName
from reconciler.ledger.store import SqlLedger


class LedgerMemory:
    """Implements the port `Memory`."""

    def __init__(self, ledger: SqlLedger, channel: ChannelName) -> None:
        self._ledger = ledger
        self._prefix = f"gateway.{channel}."

    async def recall(self, name: str) -> str | None:
        """Give what was kept under the name; None where nothing was. Raises LedgerUnavailable."""
        return await self._ledger.mark(self._prefix + name)

    async def remember(self, name: str, text: str) -> None:
        """Keep a text. Raises LedgerUnavailable, and Overtaken once another leads."""
        await self._ledger.set_mark(self._prefix + name, text)
