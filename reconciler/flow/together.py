"""Work side by side that ends together, with the gravest of what went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable

from reconciler.ports import LedgerUnavailable, LockLost, ShopUnavailable


async def together(work: Iterable[Coroutine[object, object, None]]) -> None:
    """Run side by side; the first that fails ends the rest, and the gravest failure is raised bare."""
    me = asyncio.current_task()
    cancelling = me.cancelling() if me else 0
    try:
        async with asyncio.TaskGroup() as group:
            for part in work:
                group.create_task(part)
    except BaseExceptionGroup as failed:
        while me and me.cancelling() > cancelling:
            me.uncancel()  # Python 3.11's TaskGroup leaves its own request to cancel behind
        raise min(_leaves(failed), key=_rank) from failed


def _rank(error: BaseException) -> int:
    """Order failures that came together, the gravest first: after a fault of ours nothing goes on, nor once overtaken.

    Who has lost the lock stands by, and could not lead again with a ledger that it may no longer write.
    """
    match error:
        case ShopUnavailable() | LedgerUnavailable():
            return 2
        case LockLost():
            return 1
        case _:
            return 0


def _leaves(failed: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in failed.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
