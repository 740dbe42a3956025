"""`run --once` on a shop made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.sandbox.trade import Trouble
from tests.acceptance.world import CLOSED, PAID, PENDING, World, moved_once

pytestmark = pytest.mark.acceptance


async def test_one_pass_settles_exactly_the_orders_that_are_paid_and_agree(world: World) -> None:
    for channel in ("alipay", "wechat"):
        name = channel[0].upper()
        world.order(f"{name}-paid-1", channel=channel)
        paid = world.pay(f"{name}-paid-1", channel=channel)
        world.order(f"{name}-wrong-1", channel=channel)
        world.pay(f"{name}-wrong-1", fen=1, channel=channel)
        world.order(f"{name}-unpaid", channel=channel)
        world.book.put(replace(paid, out_trade_no=f"{name}-unpaid", paid_at=None))
        world.order(f"{name}-absent", channel=channel)
        world.order(f"{name}-forged", channel=channel)
        world.book.put(replace(paid, out_trade_no=f"{name}-forged", trouble=Trouble.BAD_SIGNATURE))
        world.order(f"{name}-closed", channel=channel, status=CLOSED)
        world.pay(f"{name}-closed", channel=channel)
    before = world.rows()
    config = world.configuration()

    code, output, log = await world.once(config)

    after = world.rows()
    assert {number for number in after if after[number] != before[number]} == {"A-paid-1", "W-paid-1"}
    assert after["A-paid-1"][0] == PAID
    assert after["A-paid-1"][1] == before["A-paid-1"][1]
    assert after["A-paid-1"][3] == "as it was"
    assert code == 1, "two answers could not be trusted"
    assert "(alipay-main 1 Untrusted, wechat-main 1 Untrusted)" in output, "and where is said"
    assert "settled   2" in output
    assert {line["order_no"] for line in log.events("order.settled")} == {"A-paid-1", "W-paid-1"}
    kinds = {(case["order_no"], case["kind"]) for case in await world.json(config, "cases", "list")}
    assert kinds == {
        ("A-wrong-1", "amount_mismatch"),
        ("W-wrong-1", "amount_mismatch"),
        ("A-closed", "late_payment"),
        ("W-closed", "late_payment"),
    }

    asked: list[str] = []
    world.book.on_ask = asked.append
    await world.once(config)
    assert set(asked) <= {"A-forged", "W-forged"}, "nothing else was due: only what could not be trusted"
    assert moved_once(world.moves())
    code, output = await world.command(config, "ledger", "verify")
    assert (code, output.splitlines()[-1]) == (0, "sound")


async def test_observing_changes_no_row_and_says_what_it_would_do(world: World) -> None:
    world.order("A1")
    world.pay("A1")
    before = world.rows()
    config = world.configuration(mode="observe")

    code, output, log = await world.once(config)

    assert code == 0
    assert world.rows() == before
    assert "settled   0; would settle 1 (mode observe)" in output
    assert [line["order_no"] for line in log.events("order.would_settle")] == ["A1"]

    code, _, log = await world.once(config, "--mode", "enforce")
    assert code == 0
    assert [line["order_no"] for line in log.events("order.settled")] == ["A1"], "what was observed is due at once"
    assert world.moves() == [("A1", PENDING, PAID)]


async def test_a_payment_of_a_moment_ago_is_left_to_its_callback(world: World) -> None:
    world.order("A1", age=timedelta(minutes=1))
    world.pay("A1", ago=timedelta(seconds=1))
    config = world.configuration(extra='[settle]\ngrace = "1h"')
    code, _, _ = await world.once(config)
    assert code == 0
    assert world.moves() == []
    (watch,) = (await world.json(config, "explain", "A1"))["watches"]
    assert "callback" in watch["why"]


async def test_a_pass_beside_a_daemon_says_so_and_ends_with_75(world: World) -> None:
    daemon = await world.start(world.configuration("a"))
    await daemon.until("lead.taken")
    code, _, beside = await world.once(world.configuration("b"))
    assert code == 75
    assert "lock" in beside.raw[-1]


async def test_explain_and_ask_tell_the_story_of_an_order(world: World) -> None:
    world.order("A1")
    world.pay("A1", fen=1)
    config = world.configuration()
    await world.once(config)
    code, told = await world.command(config, "explain", "A1")
    assert code == 0
    assert "asked     Paid" in told
    assert "amount_mismatch" in told
    assert "CNY 0.01 ≠ CNY 99.00" in " ".join(told.split())
    code, told = await world.command(config, "ask", "A1")
    assert code == 0
    assert "CNY 0.01" in told
    assert "≠  CNY 99.00" in told
    assert "nothing was done" in told
    assert world.moves() == []


async def test_of_an_order_that_nobody_found_it_is_said_what_is_found(world: World) -> None:
    world.order("A1", status=PAID)
    config = world.configuration()
    await world.once(config)
    code, told = await world.command(config, "explain", "A1")
    assert (code, "what was paid before it was found is not" in told) == (1, True), told
    code, told = await world.command(config, "ask", "NOPE")
    assert (code, "or shop.orders.where leaves it out" in told) == (1, True), told


async def test_a_shop_that_is_not_there_is_said_once(world: World) -> None:
    config = world.configuration()
    config.write_text(config.read_text().replace(world.url, "mysql://nobody@127.0.0.1:1/shop"))
    code, _, log = await world.once(config)
    assert code == 2
    assert log.raw[-1].lower().count("the shop's database cannot be asked") == 1, log.raw


async def test_an_order_nobody_knows_is_said_so(world: World) -> None:
    config = world.configuration()
    await world.once(config)
    for command in ("explain", "ask"):
        code, told = await world.command(config, command, "nobody")
        assert code == 1
        assert "nobody" in told
        assert "Traceback" not in told


async def test_a_ledger_of_another_shop_is_refused_before_anything_is_asked(world: World) -> None:
    config = world.configuration()
    assert (await world.once(config))[0] == 0
    other = world.shop.with_name("other.db")
    other.write_bytes(world.shop.read_bytes())
    config.write_text(config.read_text().replace(str(world.shop), str(other)))
    code, _, log = await world.once(config)
    assert code == 2
    assert "belongs to another shop ('shop.db orders'" in "".join(log.raw)
