"""`reconciler doctor` beside a shop made by hand: silent where all is well, and without a trace."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.world import CLOSED, PAID, SHANGHAI, World

pytestmark = pytest.mark.acceptance


@pytest.fixture
def healthy(world: World) -> World:
    """Give a shop in which both channels have a recently paid order."""
    robot = world.directory / "robot"
    robot.write_text("json://127.0.0.1:9/")  # nobody listens there
    robot.chmod(0o600)
    for channel in ("alipay", "wechat"):
        number = f"{channel[0].upper()}-paid-1"
        world.order(number, channel=channel)
        trade = world.pay(number, channel=channel)
        world.callback(trade)
        assert trade.paid_at is not None
        with contextlib.closing(sqlite3.connect(world.shop, timeout=30)) as shop, shop:
            paid_at = f"{trade.paid_at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}"
            shop.execute("UPDATE orders SET paid_at = ? WHERE order_no = ?", (paid_at, number))
        world.order(f"{number}-waits", channel=channel, age=timedelta(minutes=1))
        world.order(f"{number}-closed", channel=channel, status=CLOSED)
    return world


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def doctored(world: World, config: Path, code: int) -> dict[str, Any]:
    ended, output = await world.command(config, "doctor", "--json")
    assert ended == code, output
    told: dict[str, Any] = json.loads(output)
    return told


async def test_a_healthy_set_up_is_all_well_and_nothing_is_written(healthy: World) -> None:
    config = healthy.configuration(extra=f'[alerts]\ntargets = ["file:{healthy.directory}/robot"]\n')
    before, files = healthy.rows(), digest(healthy.shop)
    code, output = await healthy.command(config, "doctor")
    assert code == 0, output
    lines = output.splitlines()
    assert lines[-1].startswith("0 ✗, 0 !, "), output
    assert all(line.startswith("✓") for line in lines[:-1]), output
    assert healthy.rows() == before
    assert digest(healthy.shop) == files
    assert not (healthy.directory / "a-ledger.db").exists()
    assert (await healthy.once(config))[0] == 0, "and so the daemon works"


async def test_beside_a_daemon_it_says_who_leads_and_does_not_touch_the_ledger(healthy: World) -> None:
    config = healthy.configuration(extra=f'[alerts]\ntargets = ["file:{healthy.directory}/robot"]\n')
    daemon = await healthy.start(config)
    await daemon.until("lead.taken")
    head = (await healthy.json(config, "status"))["ledger"]["head"]
    told = await doctored(healthy, config, 0)
    (leads,) = [each for each in told["remarks"] if each["subject"] == "daemon"]
    assert f"{daemon.process.pid} leads, mode enforce" in leads["text"]
    assert {each["verdict"] for each in told["remarks"]} == {"well"}
    assert (await healthy.json(config, "status"))["ledger"]["head"] == head
    assert await daemon.stop() == 0


async def test_a_wrong_token_shows_only_by_an_order_that_was_paid(healthy: World) -> None:
    healthy.order("A-stranger", channel="alipay", age=timedelta(minutes=3), status=PAID)
    told = await doctored(healthy, healthy.configuration(), 0)
    assert told["sound"], "one that the gateway knows is enough"
    healthy.book._trades.clear()  # as with another merchant's token: signed answers, and none of our trades
    told = await doctored(healthy, healthy.configuration(), 1)
    (wrong,) = [each for each in told["remarks"] if each["subject"] == "channel alipay-main"]
    assert wrong["verdict"] == "fault"
    assert "A-stranger, A-paid-1 paid, and the gateway answers NotCreated" in wrong["text"]
    assert "app_auth_token" in wrong["remedy"]
