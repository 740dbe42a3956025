import pytest

from reconciler.ports import Ledger, LedgerUnavailable
from reconciler.testing.ledger import MemoryLedger, Shelf
from reconciler.testing.ledger_conformance import LedgerConformance
from reconciler.testing.ledger_examples import NOW


class MemoryBench:
    def __init__(self) -> None:
        self._shelf = Shelf()

    async def open(self) -> Ledger:
        return MemoryLedger(self._shelf)

    async def raise_epoch(self) -> None:
        self._shelf.contents.epoch += 1


class TestMemoryLedger(LedgerConformance):
    @pytest.fixture
    async def bench(self) -> MemoryBench:
        return MemoryBench()


async def test_a_double_that_is_unavailable_fails_and_comes_back() -> None:
    shelf = Shelf()
    ledger = MemoryLedger(shelf)
    await ledger.lead("test", NOW)
    shelf.unavailable = "disk full"
    with pytest.raises(LedgerUnavailable, match="disk full"):
        await ledger.set_mark("a", "b")
    shelf.unavailable = None
    await ledger.set_mark("a", "b")
