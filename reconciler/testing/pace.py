"""A double of `Pacer` that lets everything through and remembers it."""

from __future__ import annotations

from reconciler.domain.answer import Answer


class FreePace:
    """As much room as it is given, and no waiting; a test closes it with `space = 0`."""

    def __init__(self, space: int = 1000) -> None:
        self.space = space
        """How many asks may be under way at once."""
        self.is_open = False
        """What a test says of the breaker; it keeps nobody out."""
        self.inside = 0
        self.heard: list[Answer | None] = []
        """Every answer that a turn ended with, in order."""

    def room(self) -> int:
        """How many asks may be started now."""
        return max(0, self.space - self.inside)

    async def enter(self) -> None:
        """Take a turn at once."""
        self.inside += 1

    async def again(self) -> None:
        """Start again at once."""
        if self.inside == 0:
            raise RuntimeError("again() without enter()")

    def leave(self, answer: Answer | None) -> None:
        """Give the turn back, and remember the answer."""
        if self.inside == 0:
            raise RuntimeError("leave() without enter()")
        self.inside -= 1
        self.heard.append(answer)
