"""Settling by the shop's own code, with the real daemon: crashes, a receiver that is down, slow, unwilling or lying."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox.trade import GatewayKind
from tests.acceptance.hand import ServerHand
from tests.acceptance.shop_code import SECRET, ShopCode, Way, shop_code
from tests.acceptance.world import CLOSED, PAID, PENDING, World, is_an_end, moved_once, until

pytestmark = pytest.mark.acceptance

FAST = '[find]\nevery = "100ms"\n'
REVIEW = 'review_over = "50.00"\n'
KILLS = {"sqlite": 8, "mysql": 7}
ON_BOTH = pytest.mark.parametrize("world", ["sqlite", "mysql"], indirect=True)
"""Where the shop's database has a part in it; the rest is tried on one of them."""
ON_MARIADB = pytest.mark.parametrize("world", ["mysql"], indirect=True)


@pytest.fixture(name="code")
async def code_fixture(world: World) -> AsyncIterator[ShopCode]:
    async with shop_code(world.hand, world.directory / "webhook-secret") as made:
        yield made


def configured(world: World, code: ShopCode, confirm_within: str = "10s", more: str = "") -> Path:
    secret = world.directory / "webhook-secret"
    return world.configuration(extra=FAST + code.configuration(secret, confirm_within, more))


def place(world: World, *numbers: str) -> None:
    for number in numbers:
        world.order(number)
        world.pay(number)


@ON_BOTH
async def test_the_shops_own_code_moves_each_order_once_and_the_secret_shows_nowhere(
    world: World, code: ShopCode
) -> None:
    numbers = [f"A{number:02d}" for number in range(20)]
    place(world, *numbers)
    config = configured(world, code)
    exit_code, output, log = await world.once(config)
    assert exit_code == 0, output
    assert "settled   20" in output
    assert code.delivered == dict.fromkeys(numbers, 1)
    assert {line["by"] for line in log.events("order.settled")} == {"webhook"}
    assert {row[0] for row in world.rows().values()} == {PAID}
    code.delivered.clear()
    assert (await world.once(config))[0] == 0
    assert not code.delivered
    key = SECRET.removeprefix("whsec_")
    assert key not in "".join(log.raw)
    assert key.encode() not in (world.directory / "a-ledger.db").read_bytes()
    assert (await world.command(config, "ledger", "verify"))[1].splitlines()[-1] == "sound"


@pytest.mark.timeout(600)
@ON_BOTH
async def test_kills_at_random_moments_deliver_each_order_once_under_one_id(world: World, code: ShopCode) -> None:
    chance = random.Random(20261123)  # noqa: S311 # a seed, not a secret
    numbers = [f"KILL-{number:03d}" for number in range(40)]
    place(world, *numbers)
    for number in numbers:
        status = chance.choice([200, 200, 500])
        code.ways[number] = Way(status, moves=chance.random() < 0.8, delay_s=chance.uniform(0, 0.3))
    config = configured(world, code)
    for _ in range(KILLS[world.hand.kind]):
        daemon = await world.start(config)
        await daemon.until("lead.taken")
        await asyncio.sleep(chance.uniform(0, 1.2))  # the moment of the kill is what is drawn
        daemon.process.kill()
        await daemon.ends()
    code.ways.clear()

    daemon = await world.start(config)
    await until(lambda: {row[0] for row in world.rows().values()} == {PAID}, within_s=120)
    assert await daemon.stop() == 0
    assert code.delivered == dict.fromkeys(numbers, 1)
    assert moved_once(world.moves())
    assert {len(ids) for ids in code.ids.values()} == {1}
    await world.once(config)
    assert (await world.json(config, "status"))["open_intentions"] == 0
    assert (await world.command(config, "ledger", "verify"))[1].splitlines()[-1] == "sound"


@ON_BOTH
async def test_slow_unwilling_and_lying_code_holds_up_no_other_order(world: World, code: ShopCode) -> None:
    config = configured(world, code, confirm_within="2s")
    daemon = await world.start(config)
    await daemon.until("lead.taken")
    code.ways = {
        "SLOW": Way(is_held=True),
        "UNWILLING": Way(409, '{"error": "due CNY 98.00, says zhang.san@example.cn"}', moves=False),
        "LYING": Way(moves=False),
        "MUMBLING": Way(500, "moved all the same"),
        "LATE": Way(moves=False),
    }
    place(world, *code.ways)
    await until(lambda: code.told["SLOW"])
    place(world, *[f"Q{number}" for number in range(5)])
    await until(lambda: all(world.rows()[f"Q{number}"][0] == PAID for number in range(5)), within_s=90)
    assert world.rows()["SLOW"][0] == PENDING, "the others did not wait for it"
    code.let_go.set()
    await until(lambda: world.rows()["SLOW"][0] == PAID, within_s=90)
    cases = {line["order_no"]: line for line in await daemon.until("case.opened", 3, within_s=90)}
    assert {line["kind"] for line in cases.values()} == {"settle_refused"}
    assert set(cases) == {"UNWILLING", "LYING", "LATE"}
    assert "answers 409: due CNY 98.00, says […]" in cases["UNWILLING"]["why"]
    assert "said yes, and the row does not show it after 2 s" in cases["LYING"]["why"]
    assert "zhang.san" not in "".join(daemon.raw)
    settled = {line["order_no"] for line in await daemon.until("order.settled", 7, within_s=90)}
    assert {"SLOW", "MUMBLING"} < settled
    assert await daemon.stop() == 0
    assert moved_once(world.moves())
    assert code.delivered["SLOW"] == 1


@ON_MARIADB
async def test_code_that_is_down_is_told_again_when_it_is_back(world: World, code: ShopCode) -> None:
    config = configured(world, code)
    await code.close()
    numbers = [f"D{number}" for number in range(5)]
    place(world, *numbers)
    exit_code, output, _ = await world.once(config)
    assert exit_code == 1, "something could not be applied"
    assert "5 not applied" in output
    story = await world.json(config, "explain", "D0")
    assert "could not be told" in story["watches"][0]["why"]

    daemon = await world.start(config)
    (line,) = await daemon.until("webhook.unavailable")
    assert "cannot connect" in line["why"]
    await code.listen()
    await until(lambda: {row[0] for row in world.rows().values()} == {PAID}, within_s=60)
    await daemon.until("webhook.available")
    assert await daemon.stop() == 0
    assert code.delivered == dict.fromkeys(numbers, 1)
    assert len(daemon.events("webhook.unavailable")) == 1


@ON_BOTH
async def test_the_shops_callback_racing_with_its_own_code_delivers_once(world: World, code: ShopCode) -> None:
    numbers = [f"R{number:02d}" for number in range(40)]
    trades = {}
    for number in numbers:
        world.order(number)
        trades[number] = world.pay(number)
    before, meanwhile = set(numbers[::4]), set(numbers[1::4])

    def while_asked(number: str) -> None:
        if number in before:
            world.callback(trades[number])

    def while_told(number: str) -> None:
        if number in meanwhile:
            world.callback(trades[number])

    world.book.on_ask, code.meanwhile = while_asked, while_told
    exit_code, output, log = await world.once(configured(world, code))
    assert exit_code == 0, output
    assert sorted(world.moves()) == [(number, PENDING, PAID) for number in numbers]
    assert code.delivered == dict.fromkeys(sorted(set(numbers) - before - meanwhile), 1)
    assert {line["order_no"] for line in log.events("order.callback_won")} == before
    assert not before & code.told.keys(), "what the row shows paid is not told of"
    assert not log.events("case.opened")


@ON_MARIADB
async def test_a_stop_in_the_middle_ends_within_ten_seconds_and_leaves_nothing_behind(
    world: World, code: ShopCode
) -> None:
    code.way = Way(delay_s=0.5)
    numbers = [f"S{number:02d}" for number in range(30)]
    place(world, *numbers)
    config = configured(world, code)
    daemon = await world.start(config)
    await until(lambda: code.told.total() >= 8)
    daemon.process.terminate()
    assert await daemon.ends(within_s=10) == 0
    code.way = Way()
    assert (await world.once(config))[0] == 0
    assert code.delivered == dict.fromkeys(numbers, 1)
    assert not code.overlapped


@ON_MARIADB
async def test_sessions_that_the_server_ends_while_the_shops_own_code_is_at_work_deliver_once(
    world: World, code: ShopCode
) -> None:
    numbers = ["HELD-1", "HELD-2"]
    code.ways = {"HELD-1": Way(is_held=True), "HELD-2": Way(is_held=True, moves=False)}
    place(world, *numbers)
    daemon = await world.start(configured(world, code))
    await until(lambda: code.in_flight.total() == 2)
    assert isinstance(world.hand, ServerHand)
    await asyncio.to_thread(world.hand.kill_sessions)
    await daemon.until("lead.lost")
    await daemon.until("lead.taken", 2)
    code.ways.clear()
    code.let_go.set()
    await until(lambda: {row[0] for row in world.rows().values()} == {PAID})
    await until(lambda: {line["order_no"] for line in daemon.lines if is_an_end(line)} == set(numbers))
    assert await daemon.stop() == 0
    assert code.delivered == dict.fromkeys(numbers, 1)
    assert {len(ids) for ids in code.ids.values()} == {1}
    assert moved_once(world.moves())


@ON_MARIADB
async def test_asking_by_hand_waits_for_the_shops_own_code(world: World, code: ShopCode) -> None:
    place(world, "HAND")
    code.way = Way(delay_s=1)
    config = configured(world, code)
    (finding,) = await world.json(config, "ask", "HAND", "--settle")
    assert finding["outcome"] == "settled: moved forward by the shop's own code, told by us"
    assert code.delivered == {"HAND": 1}


@ON_MARIADB
async def test_what_a_person_approves_is_asked_again_decided_again_and_delivered_once(
    world: World, code: ShopCode
) -> None:
    place(world, "REVIEW", "REFUNDED", "REFUSED", "AWAY")
    world.order("LATE", status=CLOSED)
    world.pay("LATE")
    code.ways = {"REFUSED": Way(409, '{"error": "out of cards"}', moves=False)}
    config = configured(world, code, more=REVIEW)
    daemon = await world.start(config)
    cases = {line["order_no"]: line for line in await daemon.until("case.opened", 5)}
    assert {no: line["kind"] for no, line in cases.items()} == {
        "REVIEW": "needs_review", "REFUNDED": "needs_review", "REFUSED": "needs_review", "AWAY": "needs_review",
        "LATE": "late_payment",
    }  # fmt: skip
    assert not code.told, "what a person has to see first is told to nobody"
    asked: list[str] = []
    world.book.on_ask = asked.append

    code_of_exit, told = await approve(world, config, cases["REVIEW"])
    assert code_of_exit == 0, told
    assert (asked, code.delivered) == (["REVIEW"], {"REVIEW": 1})
    code_of_exit, told = await approve(world, config, cases["REVIEW"])
    assert (code_of_exit, asked) == (1, ["REVIEW"]), told
    assert "has ended already: settled by" in told

    refund(world, "REFUNDED")
    code_of_exit, told = await approve(world, config, cases["REFUNDED"])
    assert (code_of_exit, code.told["REFUNDED"]) == (1, 0), told

    code_of_exit, told = await approve(world, config, cases["REFUSED"])
    assert (code_of_exit, code.told["REFUSED"]) == (1, 1), told
    (refused,) = [line for line in await daemon.until("case.opened", 6) if line["kind"] == "settle_refused"]
    assert "answers 409: out of cards" in refused["why"]
    code.ways.clear()
    code_of_exit, told = await approve(world, config, refused)
    assert code_of_exit == 0, told
    assert (code.delivered["REFUSED"], len(code.ids["REFUSED"])) == (1, 1)

    await code.close()
    code_of_exit, told = await approve(world, config, cases["AWAY"])
    assert (code_of_exit, world.rows()["AWAY"][0]) == (1, PENDING), told
    await code.listen()
    await until(lambda: world.rows()["AWAY"][0] == PAID)
    assert code.delivered["AWAY"] == 1, "under the same approval"
    assert await daemon.stop() == 0
    assert moved_once(world.moves())
    assert code.delivered.total() == 3


async def approve(world: World, config: Path, case: dict[str, Any]) -> tuple[int, str]:
    return await world.command(config, "cases", "approve", str(case["case_id"]))


def refund(world: World, order_no: str) -> None:
    trade = world.book.get(GatewayKind.ALIPAY, order_no)
    assert trade is not None
    world.book.put(replace(trade, refunded_at=datetime.now(UTC)))


async def test_a_secret_that_is_none_is_refused_at_start_without_showing_it(world: World, code: ShopCode) -> None:
    config = configured(world, code)
    (world.directory / "webhook-secret").write_text("hunter2hunter2")
    exit_code, _, log = await world.once(config)
    assert exit_code == 2
    said = "".join(log.raw)
    assert "At settle.webhook.secret" in said
    assert "hunter2" not in said.replace("file:", "")


async def test_what_only_an_update_can_do_is_refused_at_start(world: World, code: ShopCode) -> None:
    config = configured(world, code, more="close = true\n")
    config.write_text(config.read_text().replace("[shop.orders]\n", "[shop.orders]\nshared_payment = true\n"))
    exit_code, _, log = await world.once(config)
    assert exit_code == 2
    said = "".join(log.raw)
    assert "At settle.close: " in said
    assert 'At shop.orders.shared_payment: needs settle.by = "update"' in said
    assert not code.told
