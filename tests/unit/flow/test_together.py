"""Failures that come together: which of them is heard."""

from __future__ import annotations

import asyncio
from itertools import permutations

import pytest

from reconciler.flow.together import together
from reconciler.ports import LedgerUnavailable, LockLost, Overtaken, PortError, ShopUnavailable


async def fails(error: Exception) -> None:
    await asyncio.sleep(0)
    raise error


OVERTAKEN, LOST, SHOP, LEDGER = Overtaken("1"), LockLost("2"), ShopUnavailable("3"), LedgerUnavailable("4")


@pytest.mark.parametrize("errors", list(permutations([OVERTAKEN, LOST, SHOP])))
async def test_who_is_overtaken_hears_of_that_and_not_of_the_lock(errors: tuple[PortError, ...]) -> None:
    with pytest.raises(Overtaken):
        await together(fails(error) for error in errors)


@pytest.mark.parametrize("errors", list(permutations([LOST, SHOP, LEDGER])))
async def test_a_lock_that_is_lost_is_heard_of_before_who_is_away(errors: tuple[PortError, ...]) -> None:
    with pytest.raises(LockLost):
        await together(fails(error) for error in errors)


async def test_a_fault_of_ours_is_heard_and_the_rest_ends() -> None:
    async def lasts() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    ended: list[bool] = []
    with pytest.raises(ZeroDivisionError):
        await together([lasts(), fails(SHOP), fails(ZeroDivisionError())])
    assert ended == [True]
    me = asyncio.current_task()
    assert me is not None
    assert not me.cancelling()
