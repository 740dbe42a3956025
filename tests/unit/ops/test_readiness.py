"""What /healthz, /readyz and the watchdog go by."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.events.running import LeadWaiting
from reconciler.flow.channel import ByHand
from reconciler.flow.rounds import Rounds
from reconciler.ports import LedgerUnavailable, ShopUnavailable
from reconciler.readiness import BEAT_MAX_S, role_of, unready, unwell
from reconciler.testing.clock import ManualClock
from tests.unit.flow.bench import ALIPAY, NOON, WECHAT, Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def rounds(bench: Bench) -> Rounds:
    bench.channels = (ALIPAY, WECHAT)
    return bench.process()


async def test_rounds_that_give_no_sign_of_life_are_unwell_and_what_is_away_is_not(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    rounds = bench.process()
    rounds._beat()
    await bench.clock.advance(BEAT_MAX_S - 1)
    rounds._away.note(ShopUnavailable("refused"))
    assert unwell(rounds, bench.clock) == ()
    await bench.clock.advance(1)
    assert unwell(rounds, bench.clock) == ("the rounds have shown no sign of life for 60 s, and 60 s are allowed",)
    rounds._beat()
    assert unwell(rounds, bench.clock) == ()


async def test_nobody_is_ready_before_it_leads_or_stands_by(rounds: Rounds) -> None:
    assert role_of(rounds) == "starting"
    assert unready(rounds) == ("the lead is not taken yet",)
    assert await rounds.take_charge()
    assert role_of(rounds) == "leading"
    assert unready(rounds) == ()


async def test_a_standby_is_ready_to_wait_whatever_its_channels_were(bench: Bench, rounds: Rounds) -> None:
    assert await bench.process().take_charge()
    for channel in rounds.channels:
        channel.paused_since = NOON
    waiting = asyncio.create_task(rounds.run())
    await bench.events.seen(LeadWaiting)
    assert (role_of(rounds), unready(rounds)) == ("standby", ())
    rounds._away.note(ShopUnavailable("refused"))
    assert unready(rounds) == (f"shop unavailable since {bench.clock.now().isoformat(timespec='seconds')}: refused",)
    rounds.stop()
    await waiting


async def test_shop_and_ledger_must_answer(rounds: Rounds) -> None:
    assert await rounds.take_charge()
    rounds._away.note(ShopUnavailable("refused"))
    rounds._away.note(LedgerUnavailable("disk full"))
    assert [reason.split()[0] for reason in unready(rounds)] == ["shop", "ledger"]


async def test_one_channel_that_can_be_asked_is_enough(rounds: Rounds) -> None:
    assert await rounds.take_charge()
    alipay, wechat = rounds.channels
    alipay.by_hand = ByHand("2026", "li")
    assert unready(rounds) == ()
    now = rounds.context.clock.now()
    assert [wechat.reach.failed(now) for _ in range(3)][-1]
    assert unready(rounds) == ("no channel can be asked: alipay-main (paused_by_hand); wechat-main (unavailable)",)
    wechat.reach.reached()
    assert wechat.throttling.throttled("N1", now)
    assert unready(rounds) == (), "slow is not silent"
