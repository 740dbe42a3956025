"""A channel that knows none of our numbers: no watch ends on that, and a person is told when it lasts."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from reconciler.domain.answer import Answer, Closed, NotCreated, Paid, Refunded, Reply, Trade, Unpaid, Unrecognised
from reconciler.events.trouble import ChannelBeyondDoubt, ChannelInDoubt
from reconciler.flow.doubt import KEPT_EVERY, NOT_CREATED_RUN, SAID_AFTER, SAID_MARK, Doubt
from reconciler.flow.rounds import Rounds
from reconciler.testing.clock import ManualClock
from tests.unit.flow.bench import ALIPAY, CNY_99, NOON, Bench

OLD = 3 * 24 * 60
"""Minutes: past its last age, and asked once all the same."""
HOUR = 3600


@pytest.fixture
def bench() -> Bench:
    return Bench()


def unknown(bench: Bench, count: int, first: int = 0, minutes: float = OLD) -> None:
    for number in range(first, first + count):
        bench.order(str(number), minutes=minutes)
        bench.gateway().will_answer(f"N{number}", NotCreated())


async def still_open(bench: Bench, rounds: Rounds) -> int:
    return (await rounds.context.ledger.counts(bench.clock.now())).open


async def test_fifty_unknown_numbers_in_a_row_end_no_more_watches_and_nobody_is_told_yet(bench: Bench) -> None:
    unknown(bench, 200)
    rounds = await bench.once()
    assert rounds.channels[0].in_doubt
    assert await still_open(bench, rounds) >= 200 - 64, "but for the batch that it began in"
    assert not bench.events.of(ChannelInDoubt)


async def test_a_first_walk_that_comes_upon_a_known_number_tells_nobody_anything(bench: Bench) -> None:
    """What a sound shop looks like in its first minute: old pages that nobody opened, and one that somebody paid."""
    unknown(bench, NOT_CREATED_RUN + 20)
    rounds = await bench.once()
    assert rounds.channels[0].in_doubt
    await bench.clock.advance(10 * 60)
    bench.order("paid", minutes=2 * OLD)
    bench.gateway().will_answer("Npaid", Paid(Trade("Npaid", "T1", CNY_99, bench.clock.now() - timedelta(days=6))))
    await bench.once(rounds)
    assert not rounds.channels[0].in_doubt
    await bench.clock.advance(2 * HOUR)
    unknown(bench, NOT_CREATED_RUN + 20, 100)
    await bench.once(rounds)
    assert rounds.channels[0].in_doubt
    assert not bench.events.of(ChannelInDoubt), "the hour counts from the last known number"
    assert not bench.events.of(ChannelBeyondDoubt)


async def test_a_wrong_identity_is_said_once_after_an_hour_with_the_reason(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    unknown(bench, 100)
    running = asyncio.create_task((rounds := bench.process()).run())
    await bench.pass_time(HOUR - 60)
    assert not bench.events.of(ChannelInDoubt)
    for more in range(8):  # orders go on coming in
        unknown(bench, 1, 100 + more, minutes=0)
        await bench.pass_time(HOUR // 4)
    (said,) = bench.events.of(ChannelInDoubt)
    assert said.asks >= NOT_CREATED_RUN
    assert said.why.startswith("the gateway has known none of the numbers that it was asked about for 1.")
    assert await rounds.context.ledger.mark(SAID_MARK + ALIPAY)

    bench.gateway().will_answer("N107", Unpaid(Trade("N107")))
    await bench.pass_time(HOUR)
    (end,) = bench.events.of(ChannelBeyondDoubt)
    assert end.why == "N107 is known: Unpaid"
    assert end.after > SAID_AFTER
    assert not await rounds.context.ledger.mark(SAID_MARK + ALIPAY)
    rounds.stop()
    await bench.pass_time(5)
    await running


async def test_passes_of_a_cron_job_come_to_tell_it_too_and_only_one_of_them_does(bench: Bench) -> None:
    for hour in range(4):
        unknown(bench, 60, 60 * hour)
        rounds = await bench.once(bench.process())
        assert rounds.channels[0].in_doubt
        assert len(bench.events.of(ChannelInDoubt)) == (hour > 0)
        await bench.clock.advance(HOUR)
    bench.order("known", minutes=OLD)
    bench.gateway().will_answer("Nknown", Closed(Trade("Nknown")))
    rounds = await bench.once(bench.process())
    assert not rounds.channels[0].in_doubt
    assert len(bench.events.of(ChannelBeyondDoubt)) == 1


async def test_small_passes_of_a_cron_job_come_to_a_run_together(bench: Bench) -> None:
    rounds = bench.process()
    for passes in range(1, 20):
        unknown(bench, 7, 7 * passes)
        rounds = await bench.once(bench.process())
        assert rounds.channels[0].in_doubt is (7 * passes >= NOT_CREATED_RUN)
    assert await still_open(bench, rounds) >= 7 * 19 - NOT_CREATED_RUN - 7


async def test_a_known_number_begins_the_run_anew_for_later_passes(bench: Bench) -> None:
    unknown(bench, NOT_CREATED_RUN - 1)
    await bench.once(bench.process())
    bench.order("known", minutes=OLD)
    bench.gateway().will_answer("Nknown", Unpaid(Trade("Nknown")))
    await bench.once(bench.process())
    unknown(bench, NOT_CREATED_RUN - 1, 100)
    assert not (await bench.once(bench.process())).channels[0].in_doubt


async def test_a_killed_process_forgets_little_of_a_run(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    unknown(bench, NOT_CREATED_RUN - 1)
    running = asyncio.create_task((rounds := bench.process()).run())
    await bench.pass_time(60)
    running.cancel()
    after = Doubt()
    await after.restore(rounds.context.ledger, ALIPAY)
    nobodys = Reply(NotCreated(), False, bench.clock.now(), bench.clock.now())
    for _ in range(KEPT_EVERY):
        await after.hear(ALIPAY, "N", nobodys, rounds.context.ledger, bench.clock, bench.events)
    assert after.since is not None


@pytest.mark.parametrize(
    "answer",
    [
        Paid(Trade("Nknown", "T1", CNY_99, NOON - timedelta(days=3))),
        Refunded(Trade("Nknown", "T1", CNY_99, NOON - timedelta(days=3)), in_full=True),
        Unpaid(Trade("Nknown")),
        Closed(Trade("Nknown")),
        Unrecognised("TRADE_PENDING"),
    ],
    ids=lambda answer: type(answer).__name__,
)
@pytest.mark.parametrize("verified", [True, False])
async def test_only_what_is_signed_ends_a_doubt(bench: Bench, answer: Answer, *, verified: bool) -> None:
    unknown(bench, 60)
    rounds = await bench.once()
    bench.order("known", minutes=OLD)
    bench.gateway().will_answer("Nknown", answer, verified=verified)
    await bench.once(rounds)
    assert rounds.channels[0].in_doubt is not verified


async def test_a_known_number_in_between_begins_the_run_anew(bench: Bench) -> None:
    unknown(bench, NOT_CREATED_RUN - 1)
    rounds = await bench.once()
    bench.order("known", minutes=OLD)
    bench.gateway().will_answer("Nknown", Unpaid(Trade("Nknown")))
    await bench.once(rounds)
    unknown(bench, NOT_CREATED_RUN - 1, 100)
    await bench.once(rounds)
    assert not rounds.channels[0].in_doubt
    unknown(bench, 1, 200)
    await bench.once(rounds)
    assert rounds.channels[0].in_doubt


async def test_nor_does_it_remember_a_run_that_was_over(bench: Bench) -> None:
    rounds = await bench.once()
    ledger, now, before = rounds.context.ledger, bench.clock.now(), Doubt()
    answers: list[Answer] = [NotCreated()] * KEPT_EVERY
    for answer in [*answers, Unpaid(Trade("N"))]:
        known = isinstance(answer, Unpaid)
        await before.hear(ALIPAY, "N", Reply(answer, known, now, now), ledger, bench.clock, bench.events)
    after = Doubt()
    await after.restore(ledger, ALIPAY)
    for _ in range(NOT_CREATED_RUN - 1):
        await after.hear(ALIPAY, "N", Reply(NotCreated(), False, now, now), ledger, bench.clock, bench.events)
    assert after.since is None
