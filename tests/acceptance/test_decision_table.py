"""The decision table of design.md, cell by cell, through the real daemon on real databases.

One daemon looks after an order for each cell. What it made of each is told by the shop's rows, by a witness in the
shop's database that sees every move, by its cases, and by what its ledger says comes next.

Each row of the table is here; what stands beside it in design.md is in `test_awkward_orders` (A below) and elsewhere:

| design.md                                          | where                                                          |
|----------------------------------------------------|----------------------------------------------------------------|
| each order state × each answer                     | TABLE                                                          |
| not before `paid_at + settle.grace`                | TABLE: fresh                                                   |
| facts that disagree                                | TABLE: paid, by amount, merchant and time                      |
| after the last age stop, noted                     | TABLE: old                                                     |
| paid, in an audit only                             | A: the shop calls paid and every channel denies                |
| numbers on two rows; review by size and age        | A: payments to review                                          |
| one payment moves one order, once                  | A: payments to review (put back)                               |
| *Reviving*: each of its four conditions            | A: reviving; neither column: A, neither transaction nor time   |
| *Closing*: every attempt, every channel, noted     | A: an order is closed only when; every channel is asked        |
| *Closing*, `shared_payment`: never by webhook      | test_webhook: refused at start                                 |
| *Several attempts*: one after another, later ages  | A: several attempts                                            |
| … transaction column empty, or none; winner unknown| A: several attempts (cleared); neither transaction nor time    |
| `shared_payment`: sum, all or none, one transaction| A: a payment shared (whole, short, partly, torn)               |
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.domain.case import CaseKind
from reconciler.sandbox.trade import Twist
from tests.acceptance.awkward import AGE, CLOSED, PAID, PENDING, REFUNDED, STRANGE, AwkwardShop, awkward_shop

pytestmark = pytest.mark.acceptance

KINDS = {kind.value for kind in CaseKind}
WAITING = ("pending", "closed")
"""Found as they are; the others are found waiting, and then changed."""
GRACE = '[settle]\ngrace = "3m"\n'
SECONDS, HOURS = timedelta(seconds=1), timedelta(hours=1)


@pytest.fixture(name="shop", params=["sqlite", "mysql"])
async def shop_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AwkwardShop]:
    async with awkward_shop(request.param, tmp_path) as made:
        yield made


@dataclass(frozen=True)
class Cell:
    """One cell: the order as it is, what the gateway says, and what comes of it."""

    order: str
    says: str
    ends_as: int | None
    """The status in the end; None: its row is gone."""
    then: str
    """What the ledger says comes next (`Watched.then`); of a case, its kind."""
    channel: str = "alipay"
    fen: int = 9900
    """What was paid."""
    transaction: str = ""
    """Recorded in the row: `same`, `other`, or nothing."""
    age: timedelta = AGE
    """Of the order."""
    ago: timedelta = timedelta(minutes=4)
    """When it was paid."""

    @property
    def name(self) -> str:
        """Its order's number, and the gateway's: WeChat Pay takes 32 characters."""
        more = f"{self.channel[0]}{self.fen}-{self.transaction[:1]}{self.age // HOURS}-{self.ago // SECONDS}"
        return f"{self.order}-{self.says}-{more}"


OLD = 72 * HOURS
TABLE = (
    Cell("pending", "paid", PAID, "settled"),
    Cell("pending", "paid", PAID, "settled", channel="wechat"),
    Cell("pending", "paid", PENDING, "ask_at", ago=5 * SECONDS),
    Cell("pending", "paid", PENDING, "amount_mismatch", fen=1),
    Cell("pending", "paid", PENDING, "amount_mismatch", fen=9901, channel="wechat"),
    Cell("pending", "paid", PENDING, "time_mismatch", ago=HOURS),
    Cell("pending", "diverted", PENDING, "merchant_mismatch", channel="wechat"),
    Cell("pending", "refunded", PENDING, "refunded_while_pending"),
    Cell("pending", "refunded", PENDING, "refunded_while_pending", channel="wechat"),
    Cell("pending", "unpaid", PENDING, "ask_again"),
    Cell("pending", "unpaid", PENDING, "stop", age=OLD),
    Cell("pending", "absent", PENDING, "ask_again"),
    Cell("pending", "absent", PENDING, "stop", age=OLD),
    Cell("pending", "closed", PENDING, "stop"),
    Cell("pending", "strange", PENDING, "unrecognised_state"),
    Cell("closed", "paid", CLOSED, "late_payment"),
    Cell("closed", "refunded", CLOSED, "stop"),
    Cell("closed", "refunded", CLOSED, "refund_unclear", channel="wechat"),
    Cell("closed", "unpaid", CLOSED, "ask_again later"),
    Cell("closed", "unpaid", CLOSED, "stop", age=OLD),
    Cell("closed", "absent", CLOSED, "ask_again later"),
    Cell("closed", "closed", CLOSED, "stop"),
    Cell("paid", "paid", PAID, "done", transaction="same"),
    Cell("paid", "paid", PAID, "duplicate_payment", transaction="other"),
    Cell("paid", "refunded", PAID, "stop", transaction="same"),
    Cell("paid", "unpaid", PAID, "ask_again later", transaction="other"),
    Cell("paid", "absent", PAID, "ask_again later", transaction="other"),
    Cell("paid", "closed", PAID, "stop", transaction="other"),
    Cell("refunded", "paid", REFUNDED, "done", transaction="same"),
    Cell("refunded", "paid", REFUNDED, "paid_after_refund", transaction="other"),
    Cell("refunded", "refunded", REFUNDED, "done", transaction="same"),
    Cell("refunded", "unpaid", REFUNDED, "done", transaction="other"),
    Cell("refunded", "absent", REFUNDED, "done", transaction="other"),
    Cell("refunded", "closed", REFUNDED, "done", transaction="other"),
    Cell("gone", "paid", None, "order_vanished"),
    Cell("gone", "refunded", None, "stop"),
    Cell("gone", "unpaid", None, "ask_again"),
    Cell("gone", "absent", None, "ask_again"),
    Cell("gone", "closed", None, "stop"),
    Cell("unknown", "paid", STRANGE, "unreadable_order"),
    Cell("unknown", "refunded", STRANGE, "stop"),
    Cell("unknown", "unpaid", STRANGE, "ask_again"),
    Cell("unknown", "absent", STRANGE, "ask_again"),
    Cell("unknown", "closed", STRANGE, "stop"),
)
TWISTS = {"diverted": Twist.OTHER_MERCHANT, "strange": Twist.UNKNOWN_STATE}


async def test_each_cell_of_the_decision_table(shop: AwkwardShop) -> None:
    shop.configure(more=GRACE)
    for cell in TABLE:
        status = CLOSED if cell.order == "closed" else PENDING
        await shop.place(cell.name, status=status, channel=cell.channel, age=cell.age)
        if cell.order in WAITING:
            speak(shop, cell)
    daemon = await shop.lead()
    for cell in TABLE:
        if cell.order not in WAITING:
            speak(shop, cell)
            await become(shop, cell)
            await shop.ask(cell.name)

    statuses, watched = await shop.statuses(), shop.watched()
    assert {cell.name: watched[cell.name].then for cell in TABLE} == {cell.name: cell.then for cell in TABLE}
    assert {cell.name: statuses.get(cell.name) for cell in TABLE} == {cell.name: cell.ends_as for cell in TABLE}
    assert await shop.cases() == {(cell.name, cell.then) for cell in TABLE if cell.then in KINDS}
    assert {cell.name for cell in TABLE if watched[cell.name].is_ended} == {
        cell.name for cell in TABLE if cell.then in {"settled", "done", "stop"}
    }
    assert all(watched[cell.name].why.endswith("at its last age") for cell in TABLE if cell.age == OLD)
    settled = {cell.name for cell in TABLE if cell.then == "settled"}
    assert sorted(event["order_no"] for event in daemon.events("order.settled")) == sorted(settled)
    others = {cell.name for cell in TABLE if cell.order not in WAITING}
    ours = [(no, was, became) for no, was, became in await shop.witnessed() if no not in others]
    assert sorted(ours) == sorted((no, PENDING, PAID) for no in settled), "each once, and no other"
    assert not daemon.events("turn.failed")
    assert await daemon.stop() == 0
    code, told = await shop.command(shop.config, "ledger", "verify")
    assert (code, told.splitlines()[-1]) == (0, "sound")


def speak(shop: AwkwardShop, cell: Cell) -> None:
    """Let the gateway have what it says about this order."""
    if cell.says in TWISTS:
        shop.trade(cell.name, "paid", cell.fen, cell.channel, ago=cell.ago, twist=TWISTS[cell.says])
    elif cell.says != "absent":
        shop.trade(cell.name, cell.says, cell.fen, cell.channel, ago=cell.ago)


async def become(shop: AwkwardShop, cell: Cell) -> None:
    """Let the order become what it is, by whoever's hand."""
    if cell.order == "gone":
        await shop.delete(cell.name)
        return
    status = {"paid": PAID, "refunded": REFUNDED, "unknown": STRANGE}[cell.order]
    trade = next((trade for trade in shop.book.trades() if trade.out_trade_no == cell.name), None)
    known = {"same": trade.transaction_id if trade else None, "other": "20260101OTHER", "": None}[cell.transaction]
    await shop.change(cell.name, status=status, transaction_id=known)
