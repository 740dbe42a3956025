"""What metrics and systemd are told of a daemon's rounds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from reconciler.domain.answer import Misconfigured, Trade, Unpaid
from reconciler.events.running import LeadWaiting
from reconciler.figures import REFRESH_S, SIZE_EVERY_S, Figures
from reconciler.flow.reach import UNAVAILABLE_RUN
from reconciler.flow.rounds import Rounds
from reconciler.ledger.size import LedgerSize
from reconciler.ops.metrics import Metrics
from reconciler.ops.notify import Notify
from reconciler.ports import ShopUnavailable
from tests.unit.flow.bench import ALIPAY, NOON, WECHAT, Bench


class Heard(Notify):
    """systemd's end: every status that it was told."""

    def __init__(self) -> None:
        super().__init__(None)
        self.said: list[str] = []

    def status(self, text: str) -> bool:
        """Hear one."""
        self.said.append(text)
        return True


@dataclass
class Desk:
    """One process, and its figures."""

    rounds: Rounds
    metrics: Metrics = field(default_factory=lambda: Metrics(version="1", mode="enforce", channels=[ALIPAY, WECHAT]))
    notify: Heard = field(default_factory=Heard)
    sizes: int = 0

    def __post_init__(self) -> None:
        self.figures = Figures(self.rounds, "enforce", self._size, self.metrics, self.notify)

    async def _size(self) -> LedgerSize:
        self.sizes += 1
        return LedgerSize(4096 * self.sizes, None)

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"reconciler_{name}", labels)

    async def said(self) -> str:
        """Refresh, and give the line that stands there now."""
        await self.figures.refresh()
        return self.notify.said[-1]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
async def leader(bench: Bench) -> Desk:
    bench.channels = (ALIPAY, WECHAT)
    rounds = bench.process()
    assert await rounds.take_charge()
    return Desk(rounds)


async def test_a_leader_tells_its_counts(bench: Bench, leader: Desk) -> None:
    for key in "123":
        bench.order(key, minutes=6, channel=ALIPAY)
    bench.pay("N1")
    bench.pay("N2", amount=None)
    bench.gateway().will_answer("N3", Unpaid(Trade("N3")))
    await bench.once(leader.rounds)

    said = await leader.said()

    assert said == "mode enforce, leading; watching 2, 0 due; 1 cases open; 1 settled in the last hour"
    assert leader.value("leader") == leader.value("ready") == 1
    assert leader.value("watches", state="open") == 2
    assert leader.value("cases_open", kind="amount_mismatch") == 1
    assert leader.value("cases_oldest_timestamp_seconds", kind="amount_mismatch") == pytest.approx(
        bench.clock.now().timestamp(), abs=5
    )
    assert leader.value("brake_settled_orders") == 1
    assert leader.value("brake_settled_fen") == 9900
    assert leader.value("brake_limit_orders") == leader.rounds.context.limits.per_hour
    assert leader.value("ledger_entries") == (await leader.rounds.context.ledger.head())[0]
    assert "N1" not in said


async def test_every_trouble_is_in_the_line_and_in_a_series(bench: Bench, leader: Desk) -> None:
    rounds, context = leader.rounds, leader.rounds.context
    await context.brake.pause("li")
    now = bench.clock.now()
    paused = rounds.channels[1]
    paused.paused_since = now
    for _ in range(UNAVAILABLE_RUN):
        context.deliveries.reach.failed(now)
    rounds._away.note(ShopUnavailable("refused"))

    said = await leader.said()

    assert said.startswith(
        "mode enforce, leading; SHOP UNAVAILABLE; WEBHOOK UNAVAILABLE; SETTLING PAUSED (hand);"
        " wechat-main paused_misconfigured; watching 0"
    )
    assert leader.value("ready") == 0
    assert [leader.value("unavailable", part=part) for part in ("shop", "replica", "ledger", "webhook")] == [1, 0, 0, 1]
    assert leader.value("settling_paused", reason="hand") == 1
    assert leader.value("channel_state", channel=WECHAT, state="paused_misconfigured") == 1
    assert leader.value("channel_state", channel=ALIPAY, state="paused_misconfigured") == 0


async def test_a_standby_names_the_leader_and_knows_nothing_of_channels(bench: Bench, leader: Desk) -> None:
    leader.rounds.channels[0].paused_since = NOON
    standby = Desk(bench.process())
    standby.rounds.channels[0].paused_since = NOON
    waiting = asyncio.create_task(standby.rounds.run())
    await bench.events.seen(LeadWaiting)

    said = await standby.said()

    assert said.startswith("mode enforce, standby behind bench:1; watching 0")
    assert (standby.value("leader"), standby.value("ready")) == (0, 1)
    assert standby.value("channel_state", channel=ALIPAY, state="paused_misconfigured") == 0
    standby.rounds.stop()
    await waiting


async def test_a_ledger_that_is_away_costs_the_counts_and_not_the_rest(bench: Bench, leader: Desk) -> None:
    await leader.said()
    bench.shelf.unavailable = "disk full"
    said = await leader.said()
    assert said == "mode enforce, leading"
    assert leader.value("leader") == 1


async def test_a_line_that_says_the_same_is_not_said_again(leader: Desk) -> None:
    await leader.said()
    await leader.said()
    assert len(leader.notify.said) == 1


async def test_the_ledger_is_measured_once_a_minute(bench: Bench, leader: Desk) -> None:
    for _ in range(int(SIZE_EVERY_S // REFRESH_S)):
        await leader.figures.refresh()
        await bench.clock.advance(REFRESH_S)
    assert (leader.sizes, leader.value("ledger_bytes")) == (1, 4096)
    await leader.figures.refresh()
    assert (leader.sizes, leader.value("ledger_bytes")) == (2, 8192)


async def test_the_oldest_due_ask_of_each_channel_is_told_and_none_that_is_not_due(bench: Bench, leader: Desk) -> None:
    leader.rounds.channels[0].by_hand = None
    bench.order("1", minutes=6, channel=ALIPAY)
    bench.gateway().will_answer("N1", Misconfigured("no such app"))
    await bench.once(leader.rounds)
    await leader.figures.refresh()
    name = "channel_oldest_due_timestamp_seconds"
    assert (leader.value(name, channel=ALIPAY), leader.value(name, channel=WECHAT)) == (0, 0)
    due_at = await leader.rounds.context.ledger.next_due(ALIPAY)
    assert due_at is not None
    await bench.clock.advance(timedelta(days=1).total_seconds())
    await leader.figures.refresh()
    assert (leader.value(name, channel=ALIPAY), leader.value(name, channel=WECHAT)) == (due_at.timestamp(), 0)


async def test_what_the_shop_moved_is_counted_once_and_not_lost_with_the_last_round(leader: Desk) -> None:
    moved = leader.rounds.context.paid_by_shop
    moved[ALIPAY] += 2
    await leader.figures.refresh()
    await leader.figures.refresh()
    assert leader.value("paid_by_shop_total", channel=ALIPAY) == 2
    keeping = asyncio.create_task(leader.figures.keep())
    await asyncio.sleep(0)
    moved[ALIPAY] += 1
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert leader.value("paid_by_shop_total", channel=ALIPAY) == 3
