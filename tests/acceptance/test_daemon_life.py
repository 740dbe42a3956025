"""The daemon's life: reload, trouble, and room again."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from tests.acceptance.world import World, moved_once, until

pytestmark = pytest.mark.acceptance

FAST = '[find]\nevery = "100ms"\n'


async def test_a_reload_takes_a_sound_configuration_and_refuses_a_broken_one(world: World) -> None:
    config = world.configuration(extra=FAST, mode="observe")
    daemon = await world.start(config)
    await daemon.until("lead.taken")
    world.order("A1")
    world.pay("A1")
    await daemon.until("order.would_settle")

    sound = config.read_text()
    config.write_text(sound + "\n[ask]\nages = []\ntimeuot = 3\n")
    daemon.process.send_signal(signal.SIGHUP)
    (refused,) = await daemon.until("config.refused")
    assert "ask.timeuot" in refused["problem"]
    assert "timeout" in refused["problem"]

    config.write_text(sound.replace('mode = "observe"', 'mode = "enforce"'))
    daemon.process.send_signal(signal.SIGHUP)
    await daemon.until("config.reloaded")
    await daemon.until("order.settled")
    assert await daemon.stop() == 0
    assert len(world.moves()) == 1


async def test_the_command_as_a_shell_starts_it_settles_and_stops_when_told_to(world: World) -> None:
    daemon = await world.start_anew(world.configuration(extra=FAST))
    await daemon.until("lead.taken")
    world.order("A1")
    world.pay("A1")
    await daemon.until("order.settled")

    assert await daemon.stop() == 0
    assert world.moves() == [("A1", 0, 1)]


async def test_a_gateway_that_is_away_is_waited_for_and_said_once(world: World) -> None:
    world.order("A1", age=timedelta(seconds=35))
    config = world.configuration(extra=FAST)
    endpoint = world.serving.alipay_endpoint
    config.write_text(config.read_text().replace(endpoint, "http://127.0.0.1:9/gateway.do"))
    daemon = await world.start(config)
    await daemon.until("channel.unavailable")
    world.pay("A1")
    config.write_text(config.read_text().replace("http://127.0.0.1:9/gateway.do", endpoint))
    daemon.process.send_signal(signal.SIGHUP)
    await daemon.until("order.settled")
    assert len(daemon.events("channel.unavailable")) == 1
    assert await daemon.stop() == 0


async def test_a_locked_shop_is_waited_for_with_one_line(world: World) -> None:
    config = world.configuration(extra=FAST)
    daemon = await world.start(config)
    await daemon.until("lead.taken")
    holder = sqlite3.connect(world.shop, isolation_level=None)
    world.order("A1")
    world.pay("A1")
    holder.execute("BEGIN EXCLUSIVE")
    await asyncio.sleep(1)  # the shop is busy for a while
    holder.execute("ROLLBACK")
    holder.close()
    await daemon.until("order.settled")
    assert await daemon.stop() == 0
    assert moved_once(world.moves())
    assert len(world.moves()) == 1


async def test_a_full_disk_under_the_ledger_stops_settling_and_goes_on_when_there_is_room(world: World) -> None:
    config = world.configuration(extra=FAST)
    daemon = await world.start(config)
    await daemon.until("lead.taken")
    unlimited = resource.RLIM_INFINITY
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (4096, unlimited))
    world.order("A1")
    world.pay("A1")
    await daemon.until("ledger.unavailable")
    assert world.moves() == []
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
    await daemon.until("ledger.available")
    await daemon.until("order.settled")
    assert len(daemon.events("ledger.unavailable")) == 1
    assert await daemon.stop() == 0
    assert len(world.moves()) == 1
    assert (await world.command(config, "ledger", "verify"))[1].splitlines()[-1] == "sound"


async def test_start_up_faults_are_one_clear_line_each(world: World) -> None:
    config = world.configuration()
    config.write_text(config.read_text().replace('amount = "amount"', 'amount = "amuont"'))
    code, _, log = await world.once(config)
    assert code == 2
    text = "".join(log.raw)
    assert "amuont" in text
    assert "amount" in text
    assert "order_no" in text, "the columns that exist are named"
    assert "Traceback" not in text


async def test_operators_reach_the_leader_through_its_socket(world: World) -> None:
    config = world.configuration(extra=FAST + '[settle]\ngrace = "1h"\n')
    daemon = await world.start(config)
    await daemon.until("lead.taken")
    world.order("A1")
    world.pay("A1")
    await until((world.directory / "a.sock").exists)
    (finding,) = await world.json(config, "ask", "A1")
    assert finding["answer"] == "Paid"
    assert all(fact["agrees"] for fact in finding["facts"])
    assert finding["decision"] == "ask_at"
    assert await daemon.stop() == 0
    assert world.moves() == []


async def test_a_shop_that_is_not_there_yet_is_waited_for_with_one_line_at_each_end(world: World) -> None:
    config = world.configuration(extra=FAST)
    away = world.shop.with_suffix(".away")
    world.order("A1")
    world.pay("A1")
    world.shop.rename(away)
    daemon = await world.start(config)
    await daemon.until("shop.unavailable")
    away.rename(world.shop)
    await daemon.until("order.settled")
    assert len(daemon.events("shop.unavailable")) == 1
    assert len(daemon.events("shop.available")) == 1
    assert await daemon.stop() == 0


async def test_systemd_is_asked_for_more_time_until_it_is_told_ready(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        daemon = await world.start(world.configuration(extra=FAST))
        await daemon.until("lead.taken")
        assert await daemon.stop() == 0
        words = []
        with contextlib.suppress(BlockingIOError):
            while True:
                words.append(systemd.recv(1000).decode().split("\n")[0])
    told = [word for word in words if not word.startswith("STATUS=")]  # its figures, once a quarter of a minute
    assert told == ["EXTEND_TIMEOUT_USEC=60000000", "READY=1", "STOPPING=1"]
