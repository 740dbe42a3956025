"""The endpoints that stand in docs/how-to/shop-side, as they stand there: each payment is delivered once."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.shops.webhook.signing import SigningKey, headers_of, message_id
from tests.integration.presets.shop_side.shops import KEY, SECRET, Site, site

ROUNDS = 12
TRIES_MAX = 20
BOTH = pytest.mark.parametrize("preset", ["dujiaoka", "acg-faka"])
NUMBER = "202611230000000001"


async def delivered_once(shop: Site, number: str, card: str) -> None:
    """See that the order is completed, by one card, with one mail."""
    state = await shop.state(number)
    assert state[0] == {"dujiaoka": 4, "acg-faka": 1}[shop.preset]
    assert state[2] == card
    assert await shop.mails(number) == [card]


@BOTH
async def test_a_confirmed_payment_is_delivered_and_a_repeat_does_nothing(preset: str, tmp_path: Path) -> None:
    async with site(preset, tmp_path) as shop:
        await shop.order(NUMBER, "CARD-1")
        await shop.order("202611230000000002", "CARD-2")
        first = await shop.post(NUMBER)
        assert (first.status, first.body) == (200, {"result": "completed"}), shop.said()
        await delivered_once(shop, NUMBER, "CARD-1")
        assert await shop.stored() == [message_id("shop", NUMBER)]
        once = await snapshot_of(shop)

        again = await shop.post(NUMBER, off=timedelta(seconds=9))

        assert (again.status, again.body) == (200, {"result": "done before"})
        assert await snapshot_of(shop) == once


@BOTH
async def test_an_order_that_somebody_put_back_is_not_delivered_by_the_same_message(
    preset: str, tmp_path: Path
) -> None:
    async with site(preset, tmp_path) as shop:
        await shop.order(NUMBER, "CARD-1")
        assert (await shop.post(NUMBER)).status == 200
        put_back = {
            "dujiaoka": "UPDATE orders SET status = 1, trade_no = ''",
            "acg-faka": "UPDATE acg_order SET status = 0, pay_time = NULL",
        }
        await shop.tables.execute(put_back[preset])
        once = await snapshot_of(shop)
        again = await shop.post(NUMBER)
        assert (again.status, again.body) == (200, {"result": "done before"})
        assert await snapshot_of(shop) == once


async def snapshot_of(shop: Site) -> object:
    """Read everything that a message may change."""
    tables = ["orders", "carmis", "goods"] if shop.preset == "dujiaoka" else ["acg_order", "acg_card", "acg_user"]
    read = [await shop.tables.rows(f"SELECT * FROM {table} ORDER BY id") for table in [*tables, "mails"]]  # noqa: S608 # our own names
    return read, await shop.stored()


@BOTH
async def test_what_is_not_signed_by_us_changes_nothing(preset: str, tmp_path: Path) -> None:
    async with site(preset, tmp_path) as shop:
        await shop.order(NUMBER, "CARD-1")
        before = await snapshot_of(shop)
        body = json.dumps({"type": "payment.confirmed", "data": {}}).encode()
        good = dict(headers_of(KEY, "msg_1", datetime.now(UTC), body))
        signature = good["webhook-signature"]
        hostile: list[tuple[dict[str, str], bytes]] = [
            ({}, body),
            ({**good, "webhook-signature": ""}, body),
            ({**good, "webhook-signature": signature.replace("v1,", "v2,")}, body),
            ({**good, "webhook-signature": signature[:-4]}, body),
            ({**good, "webhook-signature": "v1," + "A" * 43 + "="}, body),
            ({**good, "webhook-id": "msg_2"}, body),
            ({**good, "webhook-id": "msg_1' OR 1=1"}, body),
            ({**good, "webhook-timestamp": str(int(good["webhook-timestamp"]) + 1)}, body),
            ({**good, "webhook-timestamp": good["webhook-timestamp"] + ".0"}, body),
            (good, body + b" "),
            (good, b""),
            (good, body + b" " * 70_000),
        ]
        for headers, content in hostile:
            answer = await shop.send(headers, content)
            assert answer.status == 401, headers
            assert SECRET.decode() not in json.dumps(answer.body)
        assert (await shop.post(NUMBER, key=SigningKey(bytes(32)))).status == 401
        assert await snapshot_of(shop) == before
        several = {**good, "webhook-signature": f"v1,AAAA v1a,BBBB {signature}"}
        assert (await shop.send(several, body)).status == 400, "signed, and no message of ours"


@BOTH
@pytest.mark.parametrize("off", [timedelta(minutes=-6), timedelta(minutes=6)])
async def test_an_old_message_is_refused_and_the_clock_is_named(preset: str, off: timedelta, tmp_path: Path) -> None:
    async with site(preset, tmp_path) as shop:
        await shop.order(NUMBER, "CARD-1")
        answer = await shop.post(NUMBER, off=off)
        assert answer.status == 401
        assert "clock" in answer.body["error"]
        assert (await shop.sold(), await shop.stored()) == ([], [])
        assert (await shop.post(NUMBER, off=off * 4 / 6)).status == 200


@BOTH
async def test_another_amount_is_refused_with_both_and_uses_up_no_id(preset: str, tmp_path: Path) -> None:
    async with site(preset, tmp_path) as shop:
        await shop.order(NUMBER, "CARD-1")
        for fen in (1, 9899, 9901, 990, 99000):
            answer = await shop.post(NUMBER, fen)
            assert answer.status == 409
            assert f"{fen // 100}.{fen % 100:02d}" in answer.body["error"]
            assert "99.00" in answer.body["error"]
        assert (await shop.post(NUMBER, currency="USD")).status == 409
        assert (await shop.sold(), await shop.stored()) == ([], [])
        assert (await shop.post(NUMBER)).status == 200
        await delivered_once(shop, NUMBER, "CARD-1")


@BOTH
async def test_an_order_that_the_shop_has_not_is_said_so(preset: str, tmp_path: Path) -> None:
    async with site(preset, tmp_path) as shop:
        assert (await shop.post("NOBODY")).status == 404
        assert await shop.stored() == []


@BOTH
@pytest.mark.parametrize(
    ("secret", "key"), [("", b""), ("whsec_", b""), ("whsec_c2hvcnQ=", b"short"), ("not base64!", b"")]
)
async def test_a_shop_without_a_usable_secret_lets_nobody_in(
    preset: str, secret: str, key: bytes, tmp_path: Path
) -> None:
    async with site(preset, tmp_path, secret=secret) as shop:
        await shop.order(NUMBER, "CARD-1")
        for tried in (KEY, SigningKey(key)):
            answer = await shop.post(NUMBER, key=tried)
            assert (answer.status, await shop.sold()) == (401, [])
            assert "no usable secret" in answer.body["error"]


@BOTH
async def test_two_at_once_deliver_once(preset: str, tmp_path: Path) -> None:
    async with site(preset, tmp_path) as shop:
        for each in range(ROUNDS):
            number = f"2026112300000{each:05d}"
            await shop.order(number, f"CARD-{each:02d}")
            answers = await asyncio.gather(shop.post(number), shop.post(number), shop.post(number))
            assert {answer.status for answer in answers} <= {200, 503}, shop.said()
            assert (await shop.post(number)).body == {"result": "done before"}
            await delivered_once(shop, number, f"CARD-{each:02d}")
        assert len(await shop.sold()) == ROUNDS


@BOTH
async def test_racing_with_the_shops_own_callback_delivers_once(preset: str, tmp_path: Path) -> None:
    async with site(preset, tmp_path) as shop:
        for each in range(ROUNDS):
            number = f"2026112300000{each:05d}"
            await shop.order(number, f"CARD-{each:02d}")
            order = [shop.post(number), shop.callback(number), shop.callback(number)]
            answers = await asyncio.gather(*(order if each % 2 else reversed(order)))
            assert {answer.status for answer in answers} <= {200, 503}, shop.said()
            assert (await shop.post(number)).body == {"result": "done before"}
            await delivered_once(shop, number, f"CARD-{each:02d}")
        assert len(await shop.sold()) == ROUNDS
        if preset == "acg-faka":
            ((recharge,),) = await shop.tables.rows("SELECT recharge FROM acg_user")
            assert recharge == 99 * ROUNDS


@BOTH
async def test_a_callback_that_is_under_way_is_waited_for(preset: str, tmp_path: Path) -> None:
    async with site(preset, tmp_path) as shop:
        await shop.order(NUMBER, "CARD-1")
        await shop.order("202611230000000002", "CARD-2")
        async with shop.gate("callback:read"):
            callback = asyncio.create_task(shop.callback(NUMBER))
            await shop.waits_at_a_gate()
            ours = asyncio.create_task(shop.post(NUMBER))
            await shop.waits_for_a_row()
            assert await shop.mails(NUMBER) == [], "the webhook waits for the row"
        await callback
        assert (await ours).status in {200, 503}, shop.said()
        assert (await shop.post(NUMBER)).body == {"result": "done before"}
        assert len(await shop.mails(NUMBER)) == 1
        assert len(await shop.sold()) == 1


async def test_without_the_shared_lock_dujiaoka_delivers_twice(tmp_path: Path) -> None:
    """This is what the page says of the shop as it is, and why the provider replaces its completion service."""
    async with site("dujiaoka", tmp_path, unlocked=True) as shop:
        await shop.order(NUMBER, "CARD-1")
        await shop.order("202611230000000002", "CARD-2")
        async with shop.gate("callback:read"):
            callback = asyncio.create_task(shop.callback(NUMBER))
            await shop.waits_at_a_gate()
            assert (await shop.post(NUMBER)).body == {"result": "completed"}
        await callback
        assert len(await shop.mails(NUMBER)) == 2


@BOTH
@pytest.mark.parametrize(("gate", "mails"), [("moved", 0), ("answer", 1)])
async def test_a_crash_is_made_good_by_the_next_try(preset: str, gate: str, mails: int, tmp_path: Path) -> None:
    async with site(preset, tmp_path) as shop:
        await shop.order(NUMBER, "CARD-1")
        await shop.order("202611230000000002", "CARD-2")
        async with shop.gate(f"{shop.path.rpartition('/')[2]}:{gate}"):
            ours = asyncio.create_task(shop.post(NUMBER))
            await shop.waits_at_a_gate()
            shop.kill()
            await asyncio.wait({ours})
            assert ours.exception() is not None, "no answer came"
        await shop.start()
        assert len(await shop.mails(NUMBER)) == mails
        again = await shop.post(NUMBER)
        assert again.status == 200, shop.said()
        assert again.body == {"result": "done before" if mails else "completed"}
        await delivered_once(shop, NUMBER, "CARD-1")
        assert await shop.sold() == ["CARD-1"]


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("status = -1", 200),
        ("status = -1, trade_no = 'T0'", 409),
        ("status = 2, trade_no = 'T0'", 409),
        ("status = 5", 409),
        ("status = 6, trade_no = 'T0'", 409),
        (f"status = 4, trade_no = '{'2' * 28}'", 200),
        ("status = 1, deleted_at = NOW()", 404),
    ],
)
async def test_dujiaoka_completes_what_waits_or_expired_and_nothing_else(
    state: str, status: int, tmp_path: Path
) -> None:
    async with site("dujiaoka", tmp_path) as shop:
        await shop.order(NUMBER, "CARD-1")
        await shop.tables.execute(f"UPDATE orders SET {state}")  # noqa: S608 # of this test
        answer = await shop.post(NUMBER)
        assert answer.status == status, answer.body
        assert await shop.mails(NUMBER) == (["CARD-1"] if answer.body == {"result": "completed"} else [])
        assert (answer.body == {"result": "completed"}) == (state == "status = -1")


async def test_manual_goods_of_dujiaoka_are_put_where_staff_look_and_counted_once(tmp_path: Path) -> None:
    async with site("dujiaoka", tmp_path) as shop:
        await shop.order(NUMBER)
        await shop.tables.execute("UPDATE orders SET type = 2")
        await asyncio.gather(shop.post(NUMBER), shop.callback(NUMBER))
        await shop.callback(NUMBER)
        await shop.post(NUMBER)
        assert (await shop.state(NUMBER))[:2] == (2, "2" * 28)
        assert await shop.tables.rows("SELECT in_stock, sales_volume FROM goods") == [(8, 1)]
        assert len(await shop.mails(NUMBER)) == 1


@BOTH
async def test_orders_that_are_paid_at_once_are_given_different_cards(preset: str, tmp_path: Path) -> None:
    async with site(preset, tmp_path) as shop:
        numbers = [f"2026112300000{each:05d}" for each in range(6)]
        for each, number in enumerate(numbers):
            await shop.order(number, f"CARD-{each}")
        left = set(numbers)
        for _ in range(TRIES_MAX):  # a deadlock is answered with 503, and tried again, as Reconciler does
            answers = await asyncio.gather(*(shop.post(number) for number in sorted(left)))
            left -= {number for number, answer in zip(sorted(left), answers, strict=True) if answer.status == 200}
        assert not left, shop.said()
        cards = [card for number in numbers for card in await shop.mails(number)]
        assert sorted(cards) == [f"CARD-{each}" for each in range(6)]


async def test_a_card_that_dujiaoka_is_about_to_sell_is_not_sold_twice(tmp_path: Path) -> None:
    async with site("dujiaoka", tmp_path) as shop:
        other = "202611230000000002"
        await shop.order(NUMBER, "CARD-1")
        await shop.order(other, "CARD-2")
        async with shop.gate("payment-confirmed:moved"):
            first = asyncio.create_task(shop.post(NUMBER))
            await shop.waits_at_a_gate()
            second = asyncio.create_task(shop.post(other))
            await shop.waits_for_a_row()
        assert [(await each).status for each in (first, second)] == [200, 200]
        await delivered_once(shop, NUMBER, "CARD-1")
        await delivered_once(shop, other, "CARD-2")


@BOTH
async def test_an_error_in_the_shops_own_code_leaves_no_trace_and_may_be_tried_again(
    preset: str, tmp_path: Path
) -> None:
    async with site(preset, tmp_path) as shop:
        await shop.order(NUMBER, "CARD-1")
        cards = "carmis" if preset == "dujiaoka" else "acg_card"
        await shop.tables.script(f"RENAME TABLE {cards} TO away")
        answer = await shop.post(NUMBER)
        assert answer.status == 503
        await shop.tables.script(f"RENAME TABLE away TO {cards}")
        assert (await shop.stored(), await shop.mails(NUMBER)) == ([], [])
        assert (await shop.post(NUMBER)).body == {"result": "completed"}
        await delivered_once(shop, NUMBER, "CARD-1")


async def test_after_the_webhook_the_callback_of_the_shop_finds_it_done(tmp_path: Path) -> None:
    async with site("acg-faka", tmp_path) as shop:
        await shop.order(NUMBER, "CARD-1")
        assert (await shop.post(NUMBER)).status == 200
        assert (await shop.callback(NUMBER)).body == "fail: duplicate"
    async with site("dujiaoka", tmp_path) as shop:
        await shop.order(NUMBER, "CARD-1")
        assert (await shop.post(NUMBER)).status == 200
        assert "already_paid" in (await shop.callback(NUMBER)).body
        assert len(await shop.mails(NUMBER)) == 1
