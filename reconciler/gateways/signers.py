"""Requests written and signed beside the event loop, ahead of their turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from reconciler.transport import HttpRequest

SIGNERS_MAX: Final = 2
SIGNERS: Final = ThreadPoolExecutor(SIGNERS_MAX, "signer")
"""RSA lets go of the interpreter: signed here, a request costs the event loop a third of an ask less. All channels
share them, and nothing else does: what else runs in threads (names looked up, a slow disk) must not keep asks waiting.
"""
SIGNED_TOGETHER: Final = 16
"""So many requests share what a way to a thread and back costs; each waits for its neighbours to be signed."""
GOOD_FOR: Final = timedelta(seconds=30)
"""How long a signed request may wait for its turn. WeChat Pay takes times five minutes off (gateways.md 2.2)."""

Write = Callable[[datetime, str], HttpRequest]


@dataclass(slots=True)
class Signed:
    """A request that is signed, or is about to be."""

    _together: asyncio.Future[list[HttpRequest | None]]
    _place: int
    _at: datetime
    _endpoint: str
    _is_taken: bool = field(default=False)

    async def take(self, now: datetime, endpoint: str) -> HttpRequest | None:
        """Give it, once: a nonce is for one use. None where it is of no use any more."""
        is_good = endpoint == self._endpoint and timedelta(0) <= now - self._at <= GOOD_FOR
        if self._is_taken or not is_good:
            return None
        self._is_taken = True
        # Shielded: whoever is cancelled while waiting must not cancel it for its neighbours.
        together = self._together.result() if self._together.done() else await asyncio.shield(self._together)
        return together[self._place]


def sign_ahead(writes: Sequence[Write], now: datetime, endpoint: str) -> list[Signed]:
    """Have each request written and signed in a thread, some together."""
    loop, signed = asyncio.get_running_loop(), []
    for start in range(0, len(writes), SIGNED_TOGETHER):
        some = writes[start : start + SIGNED_TOGETHER]
        together = loop.run_in_executor(SIGNERS, _write_all, some, now, endpoint)
        signed += [Signed(together, place, now, endpoint) for place in range(len(some))]
    return signed


def _write_all(writes: Sequence[Write], now: datetime, endpoint: str) -> list[HttpRequest | None]:
    return [_written(write, now, endpoint) for write in writes]


def _written(write: Write, now: datetime, endpoint: str) -> HttpRequest | None:
    """Write one; None where that fails: it is written again in its turn, where the fault is its own."""
    try:
        return write(now, endpoint)
    except Exception:  # noqa: BLE001 # met again, and told of, in its turn
        return None
