"""`ask.ages = "learned"`: from the ledger's payments, once a day, kept in a mark."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.domain.learning import PAYMENTS_MIN, Payments
from reconciler.domain.policy import DEFAULT_AGES, Policy
from reconciler.events.running import AgesLearned
from reconciler.flow.learning import LEARN_EVERY, LEARNED_MARK, Learned, learn, take_up
from reconciler.flow.rounds import Rounds
from reconciler.testing.clock import ManualClock
from reconciler.testing.ledger import MemoryLedger
from tests.unit.flow.bench import NOON, Bench

MINUTE = timedelta(minutes=1)


class Taught(MemoryLedger):
    """A ledger of a shop whose buyers pay after two minutes."""

    seen = Payments((2 * MINUTE,) * PAYMENTS_MIN, 400, 300)
    looked = 0

    async def payments(self, *_: object) -> Payments:
        self.looked += 1
        return self.seen


@pytest.fixture
def bench() -> Bench:
    return Bench(policy=Policy(per_order=4.0))


async def started(bench: Bench) -> tuple[Rounds, Taught]:
    ledger = Taught(bench.shelf)
    rounds = bench.process(ledger=ledger)
    await ledger.lead("bench:1", bench.clock.now())
    return rounds, ledger


async def test_ages_are_learned_said_and_kept(bench: Bench) -> None:
    rounds, ledger = await started(bench)
    await learn(rounds.context)
    ages = rounds.context.policy.ages
    assert ages != DEFAULT_AGES
    assert ages[-1] == DEFAULT_AGES[-1]
    assert any(2 * MINUTE <= age <= 2.4 * MINUTE for age in ages)
    (said,) = bench.said(AgesLearned)
    assert isinstance(said, AgesLearned)
    assert said.payments == PAYMENTS_MIN
    assert said.ages.endswith(" 172800s")
    kept = Learned.read(await ledger.mark(LEARNED_MARK) or "")
    assert kept == Learned(bench.clock.now(), 4.0, PAYMENTS_MIN, ages)


async def test_the_next_process_takes_up_what_was_learned(bench: Bench) -> None:
    rounds, _ = await started(bench)
    await learn(rounds.context)
    again, _ = await started(bench)
    assert again.context.policy.ages == DEFAULT_AGES
    await take_up(again.context)
    assert again.context.policy.ages == rounds.context.policy.ages


async def test_ages_for_another_number_of_asks_are_not_taken_up_but_learned_anew(bench: Bench) -> None:
    rounds, _ = await started(bench)
    await learn(rounds.context)
    bench.policy = replace(bench.policy, per_order=8.0)
    again, ledger = await started(bench)
    await take_up(again.context)
    assert again.context.policy.ages == DEFAULT_AGES
    await learn(again.context)
    assert ledger.looked == 1
    assert len(again.context.policy.ages) > len(rounds.context.policy.ages)


async def test_it_learns_once_a_day_and_says_nothing_where_nothing_changes(bench: Bench) -> None:
    rounds, ledger = await started(bench)
    await learn(rounds.context)
    await bench.clock.advance(LEARN_EVERY.total_seconds() - 1)
    await learn(rounds.context)
    assert ledger.looked == 1
    await bench.clock.advance(1)
    await learn(rounds.context)
    assert ledger.looked == 2
    assert len(bench.said(AgesLearned)) == 1


async def test_with_too_few_payments_the_default_list_holds(bench: Bench) -> None:
    rounds, ledger = await started(bench)
    await learn(rounds.context)
    ledger.seen = Payments((MINUTE,), 400, 300)
    await bench.clock.advance(LEARN_EVERY.total_seconds())
    await learn(rounds.context)
    assert rounds.context.policy.ages == DEFAULT_AGES
    assert "fewer than 100 payments" in str(bench.said(AgesLearned)[-1])
    await take_up(rounds.context)
    assert rounds.context.policy.ages == DEFAULT_AGES


async def test_listed_ages_are_never_learned_over(bench: Bench) -> None:
    listed = (MINUTE, 5 * MINUTE)
    bench.policy = Policy(ages=listed)
    rounds, ledger = await started(bench)
    await learn(rounds.context)
    await take_up(rounds.context)
    assert ledger.looked == 0
    assert rounds.context.policy.ages == listed


async def test_a_pass_by_hand_asks_at_the_ages_that_the_daemon_learned(bench: Bench) -> None:
    rounds, _ = await started(bench)
    await learn(rounds.context)
    once = await bench.once()
    assert once.context.policy.ages == rounds.context.policy.ages


async def test_the_daemon_learns_when_it_walks(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    ledger = Taught(bench.shelf)
    rounds = bench.process(ledger=ledger)
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(20)
    assert ledger.looked == 1
    kept = Learned.read(await ledger.mark(LEARNED_MARK) or "")
    await ledger.set_mark(LEARNED_MARK, replace(kept, at=kept.at - LEARN_EVERY).text())
    await bench.pass_time(20)
    assert ledger.looked == 1, "it learns where it walks, not at each look"
    rounds.walk_soon()
    await bench.pass_time(20)
    assert ledger.looked == 2
    rounds.stop()
    await bench.pass_time(5)
    await running


async def test_one_pass_learns_too(bench: Bench) -> None:
    ledger = Taught(bench.shelf)
    await bench.once(bench.process(ledger=ledger))
    assert ledger.looked == 1
