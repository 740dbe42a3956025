"""Each kind of case, made in the running daemon: log line, alert, `cases show` and the page agree with each other."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reconciler.domain.case import CaseKind
from reconciler.sandbox.trade import Trouble, Twist
from tests.acceptance.awkward import CLOSED, PAID, PENDING, REFUNDED, STRANGE, AwkwardShop, awkward_shop
from tests.acceptance.receiver import Receiver, receiving
from tests.acceptance.world import Process, until

pytestmark = pytest.mark.acceptance

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "handle-a-case.md"
EVERYTHING = "everything"
RESTS = 2
"""A status of the shop's: paid, and not delivered."""
REFUSES = (
    "CREATE TRIGGER refuses BEFORE UPDATE ON orders WHEN old.order_no = 'settle-refused'"
    " BEGIN SELECT RAISE(ABORT, 'not this one'); END"
)
LIMITS = (
    '[ask]\nuntrusted_limit = 1\n[settle]\nreview_over = "100.00"\n'
    f'[processing_limits]\n"{RESTS}" = "1s"\n[find]\nevery = "200ms"\n'
)


@dataclass(frozen=True)
class Waits:
    """An order that is found waiting or closed, and what the gateway has of it."""

    state: str = "paid"
    fen: int = 9900
    """What was paid; the order is for as much where it is large, else for 99 yuan."""
    channel: str = "alipay"
    status: int = PENDING
    age: timedelta = timedelta(minutes=6)
    ago: timedelta = timedelta(minutes=4)
    twist: Twist | None = None
    trouble: Trouble | None = None
    number: str = ""


FOUND: Mapping[CaseKind, Waits] = {
    CaseKind.AMOUNT_MISMATCH: Waits(fen=1),
    CaseKind.CURRENCY_MISMATCH: Waits(twist=Twist.OTHER_CURRENCY),
    CaseKind.MERCHANT_MISMATCH: Waits(channel="wechat", twist=Twist.OTHER_MERCHANT),
    CaseKind.TIME_MISMATCH: Waits(ago=timedelta(hours=1)),
    CaseKind.LATE_PAYMENT: Waits(status=CLOSED),
    CaseKind.REFUNDED_WHILE_PENDING: Waits("refunded"),
    CaseKind.REFUND_UNCLEAR: Waits("refunded", channel="wechat", status=CLOSED),
    CaseKind.AMBIGUOUS_NUMBER: Waits(),
    CaseKind.NEEDS_REVIEW: Waits(fen=10001),
    CaseKind.SETTLE_REFUSED: Waits(),
    CaseKind.UNTRUSTED_ANSWER: Waits(trouble=Trouble.BAD_SIGNATURE),
    CaseKind.UNRECOGNISED_STATE: Waits(twist=Twist.UNKNOWN_STATE),
    CaseKind.UNASKABLE: Waits(channel="wechat", number="short"),
    CaseKind.UNANSWERED: Waits(channel="wechat", age=timedelta(hours=72), trouble=Trouble.SERVER_ERROR),
}
CHANGED: Mapping[CaseKind, dict[str, object] | None] = {
    CaseKind.DUPLICATE_PAYMENT: {"status": PAID, "transaction_id": "20260101OTHER"},
    CaseKind.PAID_AFTER_REFUND: {"status": REFUNDED, "transaction_id": "20260101OTHER"},
    CaseKind.UNREADABLE_ORDER: {"status": STRANGE},
    CaseKind.ORDER_VANISHED: None,
}
"""What became of an order after it was found, and before its payment is."""
OF_THE_SHOP_ALONE = {CaseKind.STALLED, CaseKind.PAID_WITHOUT_PAYMENT}


def order_of(kind: CaseKind) -> str:
    return kind.value.replace("_", "-")


@pytest.fixture(name="shop")
async def shop_fixture(tmp_path: Path) -> AsyncIterator[AwkwardShop]:
    async with awkward_shop("sqlite", tmp_path) as made:
        yield made


def test_every_kind_is_made_here() -> None:
    assert {*FOUND, *CHANGED, *OF_THE_SHOP_ALONE} == set(CaseKind)


@pytest.mark.timeout(400)
async def test_line_alert_screen_and_page_agree_on_each_kind(shop: AwkwardShop) -> None:
    shop.configure(more=LIMITS)
    await denied_twice(shop)
    for kind, waits in FOUND.items():
        await place(shop, order_of(kind), waits)
    await shop.place("twin", number=order_of(CaseKind.AMBIGUOUS_NUMBER))
    for kind in CHANGED:
        await shop.place(order_of(kind))
    await shop.place(order_of(CaseKind.STALLED), status=RESTS)
    shop.numbers.discard(order_of(CaseKind.STALLED))
    await shop.tables.script(REFUSES)
    daemon = await shop.lead()
    for kind, columns in CHANGED.items():
        await become(shop, order_of(kind), columns)
    lines = await opened(daemon)
    assert await daemon.stop() == 0

    async with receiving() as receiver:
        told = await told_of(shop, receiver)
    cases = await shop.json(shop.config, "cases", "list")
    listed = {CaseKind(case["kind"]): case for case in cases if case["order_no"] != "twin"}
    for kind in CaseKind:
        line, alert, case = lines[kind], told[kind], listed[kind]
        number, why = str(line["case_id"]), str(line["why"])
        assert (line["order_no"], case["order_no"], case["why"]) == (order_of(kind), order_of(kind), why)
        screen = await shown(shop, number)
        for said in (alert, screen):
            assert kind.value in said
            assert order_of(kind) in said
            assert beginning(why) in folded(said), said
        assert f"reconciler cases show {number}" in alert
        assert f"handle-a-case.md#{kind.value}" in alert
        assert f"handle-a-case.md#{kind.value}" in screen
        assert f"## {kind.value}\n" in PAGE.read_text(encoding="utf-8")


async def denied_twice(shop: AwkwardShop) -> None:
    """Have an order that the shop calls paid, denied twice over an hour ago, as a daemon would have left it."""
    name = order_of(CaseKind.PAID_WITHOUT_PAYMENT)
    shop.config.write_text(shop.config.read_text().replace("[audit]\nrate = 0", "[audit]\nrate = 1000"))
    await shop.place(name, status=PAID, transaction_id="20260101FORGED")
    assert (await shop.once(shop.config))[0] == 0
    denied = [(datetime.now(UTC) - timedelta(minutes=minutes)).isoformat() for minutes in (90, 45)]
    ((key,),) = await shop.tables.rows(f"SELECT id FROM orders WHERE order_no = '{name}'")  # noqa: S608 # a name of this test
    suspect = {"key": str(key), "order_no": name, "denied_at": denied, "next_at": denied[1]}
    with closing(sqlite3.connect(shop.directory / "a-ledger.db")) as ledger, ledger:
        ledger.execute("INSERT INTO marks VALUES ('audit.suspects', ?)", (json.dumps([suspect]),))
    shop.numbers.clear()


async def place(shop: AwkwardShop, order_no: str, waits: Waits) -> None:
    number = waits.number or order_no
    due = max(waits.fen, 9900)
    await shop.place(order_no, due, status=waits.status, channel=waits.channel, age=waits.age, number=number)
    shop.trade(number, waits.state, waits.fen, waits.channel, ago=waits.ago, twist=waits.twist, trouble=waits.trouble)


async def become(shop: AwkwardShop, order_no: str, columns: dict[str, object] | None) -> None:
    shop.trade(order_no, "paid")
    if columns is None:
        await shop.delete(order_no)
    else:
        await shop.change(order_no, **columns)
    await shop.ask(order_no)


async def opened(daemon: Process) -> Mapping[CaseKind, dict[str, Any]]:
    """Wait for a line of each kind; of the two orders with one number take the first."""

    def found() -> dict[CaseKind, dict[str, Any]]:
        return {CaseKind(line["kind"]): line for line in daemon.events("case.opened") if line["order_no"] != "twin"}

    await until(lambda: found().keys() == set(CaseKind), told=lambda: f"no {set(CaseKind) - found().keys()}")
    return found()


async def told_of(shop: AwkwardShop, receiver: Receiver) -> Mapping[CaseKind, str]:
    """Have the next process tell of each kind by a route of its own; give what it said."""
    target = partial(receiver.target, shop.directory)
    also = "".join(f'{kind.value} = ["{target(kind.value)}"]\n' for kind in CaseKind)
    main = f'[alerts]\ntargets = ["{target(EVERYTHING)}"]\n'
    shop.config.write_text(f"{shop.config.read_text()}{main}[alerts.also]\n{also}")
    (twin,) = [case["id"] for case in await shop.json(shop.config, "cases", "list") if case["order_no"] == "twin"]
    code, output = await shop.command(
        shop.config, "cases", "resolve", str(twin), "--note", "the other one is asked about"
    )
    assert code == 0, output
    daemon = await shop.start(shop.config)
    await until(
        lambda: len(receiver.posts) > len(CaseKind),
        told=lambda: f"told of {sorted(receiver.paths)}; {daemon.raw}",
    )
    assert await daemon.stop() == 0
    (everything,) = receiver.told(EVERYTHING)
    assert f"{len(CaseKind)} new cases" in everything
    return {kind: receiver.told(kind.value)[0] for kind in CaseKind}


async def shown(shop: AwkwardShop, number: str) -> str:
    code, screen = await shop.command(shop.config, "cases", "show", number)
    assert code == 0, screen
    return screen


def folded(text: str) -> str:
    """Undo what a screen's width does to a sentence."""
    return re.sub(r"\s+", " ", text)


def beginning(why: str) -> str:
    """Give as much of a reason as any screen shows in one piece."""
    return folded(why)[:60]
