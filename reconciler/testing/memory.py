"""A double of `Memory` that keeps in the process what is to outlive it."""

from __future__ import annotations


class KeptInMind:
    """Implements the port `Memory`; give it to the next gateway to play a restart."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def recall(self, name: str) -> str | None:
        """Give what was kept."""
        return self.kept.get(name)

    async def remember(self, name: str, text: str) -> None:
        """Keep it."""
        self.kept[name] = text
