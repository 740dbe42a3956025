"""A double of `Alerter`: takes messages, refuses them, or hangs, as a test says."""

from __future__ import annotations

import asyncio

from reconciler.ports import Heard, Message, Unheard


class RecordingAlerter:
    """Keeps what it took; set `why` to a text and it refuses with it, set `hangs` and it never answers."""

    def __init__(self, name: str = "alerts.targets[0] double://…") -> None:
        self.name = name
        self.why: str | None = None
        self.hangs = False
        self.messages: list[Message] = []
        """What it took, in order."""
        self.tries = 0

    async def tell(self, message: Message) -> Heard | Unheard:
        """Take it, or not."""
        self.tries += 1
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        if self.why is not None:
            return Unheard(self.why)
        self.messages.append(message)
        return Heard()
