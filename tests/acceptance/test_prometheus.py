"""A real Prometheus scrapes real daemons: every panel of the dashboard has data, and rules see made troubles."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from reconciler.sandbox.condition import Condition, Trait
from reconciler.sandbox.trade import GatewayKind, Trade
from tests.acceptance.world import Process, World
from tests.integration.prometheus.server import ROOT, Prometheus, free_port, program, prometheus

DASHBOARD = ROOT / "config" / "grafana" / "dashboard.json"
WITHIN_S = 90.0
VARIABLES = {"$__rate_interval": "1m", "$__range": "10m", "$shop": "main", "$channel": ".*"}
"""As Grafana fills them in, with our shop and all channels chosen."""
BRAKE = 3
FAST = f"""
[find]
every = "1s"
[ask]
ages = ["1s", "2s", "4s", "6s", "8s", "10s", "15s", "20s", "30s", "45s", "1m", "1h"]
[settle]
grace = "0s"
brake_per_hour = {BRAKE}
"""


@dataclass
class Watched:
    """A leader, its standby, and the Prometheus that scrapes both."""

    world: World
    leader: Process
    standby: Process
    config: Path
    server: Prometheus

    async def until(self, true: Callable[[], Awaitable[object]], what: str) -> None:
        """Wait for what Prometheus comes to know."""
        try:
            async with asyncio.timeout(WITHIN_S):
                while not await true():  # noqa: ASYNC110 # another process wakes no event of ours
                    await asyncio.sleep(0.5)
        except TimeoutError:
            lines = "".join(self.leader.raw[-20:])
            raise AssertionError(f"not within {WITHIN_S:g} s: {what}\n{lines}") from None

    async def until_number(self, expression: str) -> None:
        """Wait until an expression gives a number."""
        await self.until(lambda: self.server.samples(expression), expression)

    async def until_nothing_alerts(self) -> None:
        """Wait until no rule holds, as it must be at rest."""

        async def none_holds() -> bool:
            return not await self.server.alerting()

        await self.until(none_holds, "no alert at rest")

    async def until_alerting(self, *names: str) -> None:
        """Wait until all of these rules hold."""

        async def they_hold() -> bool:
            return set(names) <= await self.server.alerting()

        await self.until(they_hold, f"alerts {', '.join(names)}")


@asynccontextmanager
async def watched(world: World) -> AsyncIterator[Watched]:
    """Start Prometheus first, so that it sees each counter at zero, then the daemons."""
    program("prometheus")
    ports = free_port(), free_port()
    async with prometheus(world.directory, [f"127.0.0.1:{port}" for port in ports]) as server:
        config, standby = (_listening(world, name, port) for name, port in zip("ab", ports, strict=True))
        leader = await world.start(config)
        await leader.until("lead.taken")
        waiting = await world.start(standby)
        await waiting.until("lead.waiting")
        it = Watched(world, leader, waiting, config, server)
        await it.until_number('reconciler_settled_total{channel="alipay-main"} == 0')
        await it.until_number("count(reconciler_ready == 1) == 2")
        yield it


def _listening(world: World, name: str, port: int) -> Path:
    """Write a configuration whose daemon may be scraped, over the one ledger."""
    path = world.configuration(name, extra=FAST)
    text = path.read_text().replace('listen = "off"', f'listen = "127.0.0.1:{port}"')
    path.write_text(text.replace(f"{name}-ledger.db", "ledger.db"))
    return path


async def something_of_everything(it: Watched) -> None:
    """Let orders be moved by us and by the shop, one in a race, and let one become a case."""
    world = it.world
    for order_no, channel in (("A1", "alipay"), ("W00001", "wechat")):
        world.order(order_no, channel=channel)
        world.pay(order_no, channel=channel)
    world.order("A2")
    world.pay("A2", fen=1)
    for order_no, channel in (("A3", "alipay"), ("W00003", "wechat")):
        world.order(order_no, channel=channel, age=timedelta(0))  # asked about every few seconds
    raced: list[Trade] = []
    world.order("A4")
    trade = world.pay("A4")

    def race(number: str) -> None:
        if number == "A4" and not raced:
            raced.append(trade)
            world.callback(trade)

    world.book.on_ask = race
    await it.leader.until("order.settled", 2)
    await it.leader.until("case.opened")
    await it.leader.until("order.callback_won")
    for order_no in ("A3", "W00003"):
        world.hand.execute("UPDATE orders SET status = 1 WHERE order_no = :no", no=order_no)
    for channel in ("alipay-main", "wechat-main"):
        await it.until_number(f'increase(reconciler_settled_total{{channel="{channel}"}}[1m]) > 0')
        await it.until_number(f'increase(reconciler_paid_by_shop_total{{channel="{channel}"}}[1m]) > 0')


async def troubles(it: Watched) -> None:
    """Pull the brake, pause a channel by hand, take a gateway away, and let a case grow old."""
    world = it.world
    for number in range(BRAKE):
        world.order(f"A1{number}")
        world.pay(f"A1{number}")
    await it.leader.until("settle.braked")
    assert (await world.command(it.config, "pause", "--channel", "wechat-main"))[0] == 0
    world.serving.conditions.put(GatewayKind.ALIPAY, Condition(Trait.DOWN))
    for number in range(3):
        world.order(f"A2{number}")
    await it.leader.until("channel.unavailable")
    ledger = sqlite3.connect(world.directory / "ledger.db", timeout=30)
    with ledger:
        ledger.execute("UPDATE cases SET opened_at = opened_at - 2 * 86400000000")
    ledger.close()


async def test_every_panel_has_data_and_rules_see_what_is_wrong(world: World) -> None:
    async with watched(world) as it:
        await it.until_nothing_alerts()
        await something_of_everything(it)
        await troubles(it)
        await it.until_alerting(
            "ReconcilerBraked",
            "ReconcilerBrakeNear",
            "ReconcilerChannelPausedByHand",
            "ReconcilerChannelCannotAsk",
            "ReconcilerAsksFail",
            "ReconcilerCaseWaits",
        )
        rules = await it.server.rules()
        assert {name for name, rule in rules.items() if rule["health"] != "ok"} == set()
        said = [text for rule in rules.values() for alert in rule["alerts"] for text in alert["annotations"].values()]
        assert len(said) >= 18
        assert [text for text in said if "<no value>" in text or "error" in text or "%!" in text] == []

        empty = [title for title, query in queries() if not await it.server.samples(query)]
        assert empty == [], "panels without data"

        await it.standby.stop()
        await it.until_alerting("ReconcilerInstanceDown")
        assert "ReconcilerDown" not in await it.server.alerting(), "one of the two still answers"
        await it.leader.stop()
        await it.until_alerting("ReconcilerDown")


def queries() -> Iterator[tuple[str, str]]:
    """Give every query of the dashboard: of panels, annotations and variables, as Grafana sends them."""
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", _filled_in(target["expr"])
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            yield annotation["name"], _filled_in(annotation["expr"].removesuffix(" > 0"))
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            listed = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
            assert listed, variable["definition"]
            yield variable["name"], f'{_filled_in(listed[1])[:-1]},{listed[2]}!=""}}'


def panels(dashboard: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give every panel that shows something."""
    yield from (panel for panel in dashboard["panels"] if panel["type"] != "row")


def _filled_in(query: str) -> str:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    assert "$" not in query, query
    return query
