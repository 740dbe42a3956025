"""The shop's own callback and the daemon, on the same rows at the same moment, thousands of times."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import pytest

from tests.acceptance.chaos.shop import BY_CALLBACK, BY_CODE, STORE, ShopDatabase
from tests.acceptance.chaos.town import HURRIED, Fate, Town
from tests.acceptance.shop_code import SECRET, ShopCode

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

Result = TypeVar("Result")

RACES: Final = {"update": 1600, "webhook": 1000}
"""On each kind of server."""
CROWD: Final = {"update": 200, "webhook": 50}
"""Orders that are placed together; of messages, no more than one daemon has in hand, so that none waits for a place."""
WON_BY_EACH_MIN: Final = 0.1
FIRST_S: Final = 3.0
SOONEST: Final = 0.01
LATEST: Final = 3.0
"""In parts of what the quickest crowd lasted (the first counts as 3 s): from before the daemon can have read the row
until after it was done with all of them."""
WITHIN_S: Final = 180.0
MOVE: Final = (
    "UPDATE orders SET status = 1, transaction_id = :transaction, paid_at = created_at, note = :note"
    " WHERE order_no = :order_no AND status = 0"
)


class Racer:
    """Sends the callback of each order that is being asked about, at once or in a while.

    It is not told who wins, and does not steer by it: a crowd is all asked before its first race is decided. Delays are
    spread evenly over the orders of magnitude, so that on a fast machine and on a slow one some come before the daemon,
    some after it, and some while it writes.
    """

    def __init__(self, town: Town) -> None:
        self.town = town
        self.lasts_s = FIRST_S
        self.raced: set[str] = set()
        self.running: set[asyncio.Task[object]] = set()

    def on_ask(self, number: str) -> None:
        """Begin a race, once for each order."""
        if number in self.raced:
            return
        self.raced.add(number)
        task: asyncio.Task[object] = asyncio.create_task(self._race(number))
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def crowd(self, size: int) -> None:
        """Let so many order at once, and wait until each is moved by either side."""
        since = time.monotonic()
        await asyncio.gather(*(self.town.order(Fate.LOST) for _ in range(size)))
        await self.town.moved()
        self.lasts_s = min(self.lasts_s, time.monotonic() - since)

    async def _race(self, number: str) -> None:
        spread = self.town.chance.uniform(math.log(SOONEST), math.log(LATEST))
        await asyncio.sleep(self.lasts_s * math.exp(spread))
        await self.town.call_back(number)


async def run_races(town: Town, settle: str) -> None:
    """Let one daemon and the callback meet on so many rows."""
    races, crowd = RACES[town.by], CROWD[town.by]
    racer = Racer(town)
    town.book.on_ask = racer.on_ask
    config = town.configure("one", settle=settle)
    daemon = await town.start(config)
    await daemon.until("lead.taken")
    for _ in range(0, races, crowd):
        await racer.crowd(crowd)
    await asyncio.gather(*racer.running)
    await town.comes_to_rest(config)
    assert len(racer.raced) >= races
    town.done["races"] = len(racer.raced)
    won = [move.note for move in await town.shop.moves()].count(BY_CALLBACK)
    assert WON_BY_EACH_MIN * races < won < (1 - WON_BY_EACH_MIN) * races, "that was no race"


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
async def test_an_update_that_races_with_the_callback_moves_each_order_once(town: Town) -> None:
    await run_races(town, f"[settle]\n{HURRIED}")


class Reach:
    """The shop's database for code that runs in threads and wants plain calls."""

    def __init__(self, shop: ShopDatabase) -> None:
        self.kind, self.url = shop.kind, shop.url
        self._shop, self._loop = shop, asyncio.get_running_loop()

    def execute(self, statement: str, **values: object) -> int:
        """Run a statement; give the number of rows it met."""
        return self._wait(self._shop.execute(statement, **values))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Read rows."""
        return self._wait(self._shop.rows(statement))

    def all_or_none(self, *statements: str, **values: object) -> bool:
        """Run them in one transaction; where one meets no row, undo them all and give False."""
        return self._wait(self._shop.all_or_none(*statements, **values))

    def _wait(self, work: Coroutine[object, object, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WITHIN_S)


class Code(ShopCode):
    """The shop's own code, on either server."""

    def _move(self, order_no: str, message: str, transaction: str) -> bool:
        """Store the id and move the order: both or neither, under the lock of the callback."""
        return self.shop.all_or_none(
            STORE[self.shop.kind], MOVE, message=message, order_no=order_no, transaction=transaction, note=BY_CODE
        )


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
async def test_a_webhook_that_races_with_the_callback_delivers_each_order_once(town: Town) -> None:
    town.by = "webhook"
    secret = town.directory / "webhook-secret"
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o600)
    code = Code(Reach(town.shop))
    await code.listen()
    try:
        more = HURRIED.replace('grace = "0s"\n', "")
        await run_races(town, code.configuration(secret, more=more))
    finally:
        await code.close()
    moves = await town.shop.moves()
    assert code.delivered == {move.order_no: 1 for move in moves if move.note == BY_CODE}
    assert {len(ids) for ids in code.ids.values()} == {1}
    assert not code.overlapped
