"""What is found is asked about at once in every channel, however idle it was."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from reconciler.domain.order import ChannelName
from reconciler.events.orders import OrderSettled
from reconciler.flow.rounds import Tempo
from reconciler.testing.clock import ManualClock
from tests.unit.flow.bench import ALIPAY, NOON, WECHAT, Bench

IDLE_S = 3600.0
FIND_S = 20


@pytest.mark.parametrize("slow", [ALIPAY, WECHAT])
@pytest.mark.parametrize("reading_s", [0, FIND_S + 5], ids=["asleep", "reading when it is next due"])
async def test_no_channel_misses_what_is_found(bench: Bench, slow: ChannelName, reading_s: float) -> None:
    bench.clock = ManualClock(NOON)
    bench.channels = (ALIPAY, WECHAT)
    bench.find = replace(bench.find, every=timedelta(seconds=FIND_S))
    rounds = bench.process()
    rounds.tempo = Tempo(idle_max=IDLE_S)
    next_due = rounds.context.ledger.next_due

    async def slowly(channel: ChannelName) -> datetime | None:
        due = await next_due(channel)
        if channel == slow:
            await bench.clock.sleep(reading_s)
        return due

    rounds.context.ledger.next_due = slowly  # type: ignore[method-assign] # slow between reading and hearing it
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(2)  # everybody has looked, and found nothing
    for key, channel in [("1", ALIPAY), ("2", WECHAT)]:
        bench.order(key, channel=channel)
        bench.pay(f"N{key}", channel)
    await bench.pass_time(2 * FIND_S)
    assert sorted(event.order_no for event in bench.events.of(OrderSettled)) == ["N1", "N2"]
    rounds.stop()
    await bench.pass_time(FIND_S)
    await running
