"""Awkward orders through the real daemon: what design.md says beside its decision table, on real databases.

One daemon looks after many orders at once: what it made of each is told by the shop's rows, by a witness in the shop's
database that sees every move, and by its cases.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.awkward import (
    CLOSED,
    COLUMNS,
    ON_THE_ROW,
    PAID,
    PENDING,
    AwkwardShop,
    awkward_shop,
    local,
)

pytestmark = pytest.mark.acceptance

HOURS = timedelta(hours=1)
REFUSES = {
    "sqlite": "CREATE TRIGGER refuses BEFORE UPDATE ON orders WHEN old.order_no = 'torn-b'"
    " BEGIN SELECT RAISE(ABORT, 'not this one'); END",
    "mysql": "CREATE TRIGGER refuses BEFORE UPDATE ON orders FOR EACH ROW IF old.order_no = 'torn-b' THEN"
    " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not this one'; END IF",
}
"""A rule of the shop's that the second row of a cart breaks, when the first is written already."""


@pytest.fixture(name="shop", params=["sqlite", "mysql"])
async def shop_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AwkwardShop]:
    async with awkward_shop(request.param, tmp_path) as made:
        yield made


async def test_payments_to_review_and_numbers_that_name_two_orders_go_to_a_person(shop: AwkwardShop) -> None:
    shop.configure(more='[settle]\nreview_over = "100.00"\nreview_after = "2h"\n')
    await shop.place("large-1", fen=10001)
    shop.trade("large-1", "paid", 10001)
    await shop.place("at-the-limit", fen=10000)
    shop.trade("at-the-limit", "paid", 10000)
    await shop.place("old-1", age=4 * HOURS)
    shop.trade("old-1", "paid", ago=3 * HOURS)
    for order_no in ("twin-a", "twin-b"):
        await shop.place(order_no, number="twin-number")
    shop.trade("twin-number", "paid")
    await shop.place("put-back")
    shop.trade("put-back", "paid")
    daemon = await shop.lead()
    moved = [("at-the-limit", PENDING, PAID), ("put-back", PENDING, PAID)]
    assert sorted(await shop.witnessed()) == moved
    await shop.change("put-back", status=PENDING, transaction_id=None, paid_at=None)
    (found,) = await shop.ask("put-back")
    assert found["why"] == "this payment moved the order once, and now it is pending again"
    assert await shop.cases() == {
        ("large-1", "needs_review"), ("old-1", "needs_review"), ("put-back", "needs_review"),
        ("twin-a", "ambiguous_number"), ("twin-b", "ambiguous_number"),
    }  # fmt: skip
    assert sorted(await shop.witnessed()) == [*moved, ("put-back", PAID, PENDING)]
    assert await daemon.stop() == 0


async def test_reviving_takes_more_than_agreement(shop: AwkwardShop) -> None:
    shop.configure(more='[settle]\nlate_payment = "revive"\nrevive_within = "2h"\nreview_after = "10h"\n')
    await shop.place("revived", status=CLOSED)
    await shop.place("has-transaction", status=CLOSED, transaction_id="20260101OTHER")
    await shop.place("has-paid-time", status=CLOSED, paid_at=local())
    await shop.place("too-old", status=CLOSED, age=4 * HOURS)
    await shop.place("wrong-amount", status=CLOSED)
    await shop.place("was-paid")
    await shop.place("ours-before")
    for order_no in ("revived", "has-transaction", "has-paid-time", "ours-before"):
        shop.trade(order_no, "paid")
    shop.trade("too-old", "paid", ago=3 * HOURS)
    shop.trade("wrong-amount", "paid", 1)
    daemon = await shop.lead()
    await shop.change("was-paid", status=PAID)
    await shop.ask("was-paid")
    await shop.change("was-paid", status=CLOSED)
    shop.trade("was-paid", "paid")
    await shop.ask("was-paid")

    await shop.change("ours-before", status=CLOSED, transaction_id=None, paid_at=None)
    await shop.ask("ours-before")

    late = {"has-transaction", "has-paid-time", "too-old", "was-paid"}
    assert await shop.cases() == {(no, "late_payment") for no in late} | {
        ("wrong-amount", "amount_mismatch"), ("ours-before", "needs_review"),
    }  # fmt: skip
    moves = [move for move in await shop.witnessed() if move[0] not in {"was-paid", "ours-before"}]
    assert moves == [("revived", CLOSED, PAID)]
    moves = [move for move in await shop.witnessed() if move[0] == "ours-before"]
    assert moves == [("ours-before", PENDING, PAID), ("ours-before", PAID, CLOSED)], "and not again"
    assert await daemon.stop() == 0


async def test_a_shop_that_keeps_neither_transaction_nor_time_revives_nothing(shop: AwkwardShop) -> None:
    shop.configure(orders="", more='[settle]\nlate_payment = "revive"\n')
    await shop.place("late-1", status=CLOSED)
    shop.trade("late-1", "paid")
    await shop.place("two-pages", attempts=(("alipay", "two-pages-1"), ("wechat", "two-pages-2")))
    shop.trade("two-pages-1", "paid")
    await shop.place("one-page")
    daemon = await shop.lead()
    assert await shop.cases() == {("late-1", "late_payment")}

    shop.trade("two-pages-2", "paid", channel="wechat")
    await shop.ask("two-pages-2")
    await shop.change("one-page", status=PAID)
    shop.trade("one-page", "paid")
    (found,) = await shop.ask("one-page")
    assert (found["decision"], found["why"]) == ("done", "paid in the shop; winner unknown")
    assert await shop.cases() == {("late-1", "late_payment"), ("two-pages", "duplicate_payment")}
    assert [move for move in await shop.witnessed() if move[0] == "two-pages"] == [("two-pages", PENDING, PAID)]
    assert await daemon.stop() == 0


async def test_an_order_is_closed_only_when_every_attempt_at_every_channel_is(shop: AwkwardShop) -> None:
    shop.configure(more="[settle]\nclose = true\n")
    both = {
        name: (("alipay", f"{name}-1"), ("wechat", f"{name}-2")) for name in ("all-closed", "one-unpaid", "one-absent")
    }
    for name, attempts in both.items():
        await shop.place(name, attempts=attempts)
        shop.trade(f"{name}-1", "closed")
    shop.trade("all-closed-2", "closed", channel="wechat")
    shop.trade("one-unpaid-2", "unpaid", channel="wechat")
    await shop.place("single")
    shop.trade("single", "closed")
    await shop.place("stranger", attempts=(("alipay", "stranger-1"), ("cash", "stranger-2")))
    shop.numbers.discard("stranger-2")
    shop.trade("stranger-1", "closed")
    daemon = await shop.lead()
    for name in both:
        await shop.ask(name)  # whichever attempt was first, the other knows by now
    assert sorted(await shop.witnessed()) == [("all-closed", PENDING, CLOSED), ("single", PENDING, CLOSED)]
    assert await shop.cases() == set()
    watched = shop.watched()
    for name, why in {
        "one-unpaid-1": "attempt one-unpaid-2 is not known to be",
        "one-absent-1": "attempt one-absent-2 is not known to be",
        "stranger-1": "not closed in the shop: channel cash is not configured",
    }.items():
        assert (watched[name].decision, watched[name].is_ended) == ("stop", True)
        assert watched[name].why == f"closed at the gateway, unpaid; {why}"
    assert await daemon.stop() == 0


async def test_several_attempts_of_one_order(shop: AwkwardShop) -> None:
    shop.configure()
    pages = {
        name: (("alipay", f"{name}-1"), ("wechat", f"{name}-2"))
        for name in ("second-wins", "paid-twice", "both-at-once", "wiped")
    }
    for name, attempts in pages.items():
        await shop.place(name, attempts=attempts)
    shop.trade("second-wins-1", "unpaid")
    shop.trade("second-wins-2", "paid", channel="wechat")
    first = shop.trade("paid-twice-1", "paid")
    shop.trade("wiped-1", "paid")
    for number, channel in (("both-at-once-1", "alipay"), ("both-at-once-2", "wechat")):
        shop.trade(number, "paid", channel=channel)
    daemon = await shop.lead()
    shop.trade("paid-twice-2", "paid", channel="wechat")
    await shop.ask("paid-twice-2")
    await shop.ask("both-at-once")
    await shop.change("wiped", transaction_id=None)  # then our ledger knows which payment it was
    shop.trade("wiped-2", "paid", channel="wechat")
    await shop.ask("wiped-2")
    assert await shop.cases() == {(name, "duplicate_payment") for name in ("paid-twice", "both-at-once", "wiped")}
    await shop.ask("second-wins-1")
    other = shop.watched()["second-wins-1"]
    assert (other.then, other.is_ended) == ("ask_again later", False), "that is how a second payment is found"
    assert sorted(await shop.witnessed()) == sorted((name, PENDING, PAID) for name in pages)
    ((kept,),) = await shop.tables.rows("SELECT transaction_id FROM orders WHERE order_no = 'paid-twice'")
    assert kept == first.transaction_id
    assert await daemon.stop() == 0


async def test_where_every_channel_is_asked_a_stale_column_hides_no_payment_and_closes_no_order(
    shop: AwkwardShop,
) -> None:
    more = '[ask]\nchannels = "all"\n[settle]\nclose = true\n'
    shop.configure(orders=COLUMNS + ON_THE_ROW, attempts="", more=more)
    for order_no in ("stale-1", "half-closed", "closed-at-both"):
        await shop.place(order_no, channel="alipay")
    shop.trade("stale-1", "paid", channel="wechat")
    shop.trade("half-closed", "closed")
    for channel in ("alipay", "wechat"):
        shop.trade("closed-at-both", "closed", channel=channel)
    daemon = await shop.lead()
    for order_no in ("half-closed", "closed-at-both"):
        await shop.ask(order_no)  # whichever channel was first, the other knows by now
    assert sorted(await shop.witnessed()) == [("closed-at-both", PENDING, CLOSED), ("stale-1", PENDING, PAID)]
    assert await shop.cases() == set()
    assert await daemon.stop() == 0


async def test_a_payment_shared_by_several_orders_settles_all_or_none(shop: AwkwardShop) -> None:
    shop.configure(orders=COLUMNS + ON_THE_ROW + "shared_payment = true\n", attempts="")
    await shop.tables.script(REFUSES[shop.tables.kind])
    for cart in ("whole", "short", "partly", "torn"):
        for item, fen in (("a", 3000), ("b", 6900)):
            await shop.place(f"{cart}-{item}", fen=fen, number=f"{cart}-number")
    await shop.change("partly-a", status=PAID)
    shop.trade("whole-number", "paid", 9900)
    shop.trade("short-number", "paid", 3000)
    shop.trade("partly-number", "paid", 9900)
    shop.trade("torn-number", "paid", 9900)
    daemon = await shop.lead()
    assert sorted(move for move in await shop.witnessed() if move[0] != "partly-a") == [
        ("whole-a", PENDING, PAID), ("whole-b", PENDING, PAID),
    ]  # fmt: skip
    assert await shop.cases() == {
        ("short-a", "amount_mismatch"), ("short-b", "amount_mismatch"), ("partly-b", "ambiguous_number"),
        ("torn-a", "settle_refused"), ("torn-b", "settle_refused"),
    }  # fmt: skip
    assert await daemon.stop() == 0


async def test_an_order_that_the_shop_calls_paid_and_every_channel_denies_is_a_case(shop: AwkwardShop) -> None:
    """The third denial: the first two, over an hour old, are put into the ledger as a daemon would have left them."""
    shop.configure()
    shop.config.write_text(shop.config.read_text().replace("[audit]\nrate = 0", "[audit]\nrate = 1000"))
    await shop.place("forged-1", status=PAID, transaction_id="20260101FORGED")
    await shop.place("honest-1", status=PAID)
    shop.trade("honest-1", "paid")
    assert (await shop.once(shop.config))[0] == 0
    denied = [(datetime.now(UTC) - timedelta(minutes=minutes)).isoformat() for minutes in (90, 45)]
    ((key,),) = await shop.tables.rows("SELECT id FROM orders WHERE order_no = 'forged-1'")
    suspect = {"key": str(key), "order_no": "forged-1", "denied_at": denied, "next_at": denied[1]}
    with closing(sqlite3.connect(shop.directory / "a-ledger.db")) as ledger, ledger:
        ledger.execute("INSERT INTO marks VALUES ('audit.suspects', ?)", (json.dumps([suspect]),))
    before = await shop.statuses()
    daemon = await shop.start(shop.config)
    (opened,) = await daemon.until("case.opened")
    assert (opened["kind"], opened["order_no"]) == ("paid_without_payment", "forged-1")
    assert await shop.cases() == {("forged-1", "paid_without_payment")}
    assert await shop.statuses() == before
    assert await daemon.stop() == 0
