"""Crashes, rivals and races: each paid order is moved, and moved once."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sqlite3

import pytest

from tests.acceptance.world import PAID, PENDING, World, moved_once, until

pytestmark = pytest.mark.acceptance

FAST = '[find]\nevery = "100ms"\n'
KILLS = 50


@pytest.mark.timeout(900)
async def test_fifty_kills_at_random_moments_lead_where_no_kill_leads(world: World) -> None:
    chance = random.Random(20261123)  # noqa: S311 # a seed, not a secret
    numbers = [f"KILL-{number:03d}" for number in range(120)]
    for number in numbers:
        channel = "alipay" if int(number[5:]) % 2 else "wechat"
        world.order(number, channel=channel)
        if int(number[5:]) % 4 != 3:
            world.pay(number, channel=channel)
    config = world.configuration(extra=FAST)
    for _ in range(KILLS):
        daemon = await world.start(config)
        await daemon.until("lead.taken")
        await asyncio.sleep(chance.uniform(0, 0.8))  # the moment of the kill is what is drawn
        daemon.process.kill()
        await daemon.ends()

    daemon = await world.start(config)
    due = {number for number in numbers if int(number[5:]) % 4 != 3}
    await until(lambda: {number for number, row in world.rows().items() if row[0] == PAID} == due, within_s=120)
    await daemon.until("lead.taken")  # whatever was left to do may have been done before
    assert await daemon.stop() == 0

    assert moved_once(world.moves())
    assert {number for number, _, _ in world.moves()} == due
    status = await world.json(config, "status")
    assert status["open_intentions"] == 0
    assert (await world.command(config, "ledger", "verify"))[1].splitlines()[-1] == "sound"


async def test_of_two_daemons_with_two_ledgers_one_leads_and_the_other_takes_over(world: World) -> None:
    first = await world.start(world.configuration("a", FAST))
    await first.until("lead.taken")
    second = await world.start(world.configuration("b", FAST))
    await second.until("lead.waiting")
    world.order("A1")
    world.pay("A1")
    await first.until("order.settled")
    assert not second.events("lead.taken")

    first.process.kill()
    await second.until("lead.taken", within_s=15)
    world.order("A2")
    world.pay("A2")
    await second.until("order.settled")
    assert moved_once(world.moves())
    assert len(world.moves()) == 2


async def test_a_leader_whose_epoch_was_overtaken_writes_nothing_more_and_says_why(world: World) -> None:
    leader = await world.start(world.configuration("a", FAST))
    await leader.until("lead.taken")
    with contextlib.closing(sqlite3.connect(world.directory / "a-ledger.db", timeout=30)) as ledger, ledger:
        ledger.execute("UPDATE marks SET value = value + 1 WHERE name = 'epoch'")
        (entries,) = ledger.execute("SELECT count(*) FROM entries").fetchone()
    world.order("A1")
    world.pay("A1")

    assert await leader.ends() == 76
    assert world.moves() == []
    (line,) = leader.events("lead.overtaken")
    assert "epoch" in line["why"]
    with contextlib.closing(sqlite3.connect(world.directory / "a-ledger.db")) as ledger:
        assert ledger.execute("SELECT count(*) FROM entries").fetchone() == (entries,)


async def test_a_callback_that_arrives_while_we_ask_wins_and_the_order_moves_once(world: World) -> None:
    for number in ("A1", "A2", "A3"):
        world.order(number)
        world.pay(number)

    def callback_arrives(number: str) -> None:
        trade = world.pay(number)
        world.callback(trade)

    world.book.on_ask = callback_arrives
    code, _, log = await world.once(world.configuration())
    assert code == 0
    assert sorted(world.moves()) == [(number, PENDING, PAID) for number in ("A1", "A2", "A3")]
    assert not log.events("order.settled")
    assert {line["order_no"] for line in log.events("order.callback_won")} == {"A1", "A2", "A3"}
    assert all("turned paid" in line["why"] for line in log.events("order.callback_won"))


async def test_callbacks_racing_on_the_same_rows_never_move_one_twice(world: World) -> None:
    numbers = [f"R{number:02d}" for number in range(40)]
    trades = []
    for number in numbers:
        world.order(number)
        trades.append(world.pay(number))
    daemon = await world.start(world.configuration(extra=FAST))
    await daemon.until("lead.taken")
    random.Random(7).shuffle(trades)  # noqa: S311 # a seed, not a secret
    for trade in trades:
        await asyncio.to_thread(world.callback, trade)
    await until(lambda: len(world.moves()) == len(numbers), within_s=60)
    await daemon.stop()
    assert moved_once(world.moves())
    assert {row[0] for row in world.rows().values()} == {PAID}


async def test_a_stop_in_the_middle_ends_within_ten_seconds_and_loses_nothing(world: World) -> None:
    for number in range(60):
        world.order(f"S{number:02d}")
        world.pay(f"S{number:02d}")
    config = world.configuration(extra=FAST)
    daemon = await world.start(config)
    await daemon.until("order.settled")
    daemon.process.send_signal(signal.SIGINT)
    assert await daemon.ends(within_s=10) == 0
    assert daemon.events("daemon.stopped")
    code, _, _ = await world.once(config)
    assert code == 0
    assert moved_once(world.moves())
    assert len(world.moves()) == 60
