"""The brake, pause and resume, with the real daemon and the real commands."""

from __future__ import annotations

import pytest

from tests.acceptance.world import PAID, World, until

pytestmark = pytest.mark.acceptance

FAST = '[find]\nevery = "100ms"\n'
ON_BOTH = pytest.mark.parametrize("world", ["sqlite", "mysql"], indirect=True)
ON_MARIADB = pytest.mark.parametrize("world", ["mysql"], indirect=True)


def place(world: World, *numbers: str, channel: str = "alipay") -> None:
    for number in numbers:
        world.order(number, channel=channel)
        world.pay(number, channel=channel)


def paid(world: World) -> int:
    return sum(row[0] == PAID for row in world.rows().values())


@ON_BOTH
async def test_the_brake_stops_survives_a_kill_and_goes_on_when_a_person_says_so(world: World) -> None:
    config = world.configuration(extra=f'{FAST}[settle]\nbrake_per_hour = 3\ngrace = "0s"\n')
    place(world, *[f"B{number}" for number in range(6)])
    daemon = await world.start(config)
    (line,) = await daemon.until("settle.braked")
    assert line["settled"] == 3
    daemon.process.kill()
    await daemon.ends()
    assert paid(world) == 3

    daemon = await world.start(config)
    (line,) = await daemon.until("settle.paused")
    assert line["by"] == "the brake"
    status = await world.json(config, "status")
    assert status["settling_paused"]["by"] == "the brake"
    assert "SETTLING since" in (await world.command(config, "status"))[1]
    assert paid(world) == 3

    (switched,) = await world.json(config, "resume", "--settling")
    assert (switched["what"], switched["paused"], switched["changed"]) == ("settling", False, True)
    await until(lambda: paid(world) == 6, within_s=20)
    assert (await world.json(config, "status"))["settling_paused"] is None
    assert await daemon.stop() == 0
    assert (await world.command(config, "ledger", "verify"))[1].splitlines()[-1] == "sound"


@ON_MARIADB
async def test_everything_is_paused_and_resumed_through_the_leader(world: World) -> None:
    config = world.configuration(extra=f'{FAST}[settle]\ngrace = "0s"\n')
    daemon = await world.start(config)
    await daemon.until("lead.taken")
    switched = await world.json(config, "pause")
    assert [each["what"] for each in switched] == ["settling", "channel alipay-main", "channel wechat-main"]
    assert all(each["paused"] and each["changed"] and "(uid " in each["by"] for each in switched)
    place(world, "P1", "P2")
    code, output = await world.command(config, "status")
    assert "SETTLING" in output
    assert "alipay-main since" in output
    assert (await world.command(config, "pause", "--settling"))[1].startswith("settling has been paused since")

    assert "channel alipay-main goes on" in (await world.command(config, "resume", "--channel", "alipay-main"))[1]
    code, output = await world.command(config, "resume")
    assert code == 0
    assert "channel alipay-main was not paused" in output
    await until(lambda: paid(world) == 2, within_s=20)
    assert len(daemon.events("settle.paused")) == len(daemon.events("settle.resumed")) == 1
    assert await daemon.stop() == 0


@ON_MARIADB
async def test_without_a_daemon_they_take_the_lock_themselves_and_the_next_one_says_so(world: World) -> None:
    config = world.configuration(extra=f'{FAST}[settle]\ngrace = "0s"\n')
    code, told = await world.command(config, "pause", "--settling", "--channel", "wechat-main")
    assert code == 0
    assert set(told.splitlines()) == {
        f"{what} is paused now; `reconciler resume {which}` ends it, `reconciler resume` every pause"
        for what, which in (("settling", "--settling"), ("channel wechat-main", "--channel wechat-main"))
    }
    place(world, "NUMBER-1")
    place(world, "NUMBER-2", channel="wechat")
    daemon = await world.start(config)
    await daemon.until("settle.paused")
    (line,) = await daemon.until("channel.paused_by_hand")
    assert line["channel"] == "wechat-main"
    await until(lambda: daemon.events("lead.taken"))
    assert await daemon.stop() == 0
    code, output, _ = await world.once(config)
    assert (code, paid(world)) == (1, 0), output
    story = await world.json(config, "explain", "NUMBER-2")
    assert story["watches"][0]["channel_paused"]["why"] == "paused by hand"

    code, told = await world.command(config, "resume")
    assert code == 0
    assert "paused_by_hand" not in told
    assert "settle.paused" not in told
    code, output, log = await world.once(config)
    assert (code, paid(world)) == (0, 2), "".join([output, *log.raw])


async def test_a_channel_that_does_not_exist_is_said_so(world: World) -> None:
    config = world.configuration()
    code, output = await world.command(config, "pause", "--channel", "alipay")
    assert code == 2
    assert "There is no channel alipay; there are: alipay-main, wechat-main" in output


async def test_above_max_per_minute_the_rest_waits_for_the_next_run(world: World) -> None:
    config = world.configuration(extra=f'{FAST}[settle]\nmax_per_minute = 2\ngrace = "0s"\n')
    place(world, *[f"M{number}" for number in range(5)])
    code, output, log = await world.once(config)
    assert (code, paid(world)) == (1, 2), output
    assert log.events("settle.queued")
    daemon = await world.start(config)
    await daemon.until("lead.taken")
    await until(lambda: paid(world) == 4, within_s=90)
    assert await daemon.stop() == 0
