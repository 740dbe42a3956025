"""Waiting for what another session notices in its own time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

LOOKS_MAX: Final = 500
LOOK_EVERY_S: Final = 0.02


async def soon(true: Callable[[], Awaitable[bool]]) -> bool:
    """Whether it comes true within some ten seconds."""
    for _ in range(LOOKS_MAX):
        if await true():
            return True
        await asyncio.sleep(LOOK_EVERY_S)
    return False
