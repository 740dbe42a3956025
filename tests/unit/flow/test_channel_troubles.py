"""What befalls a channel, in figures: one line when it starts, one when it ends, and none for each ask between."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from reconciler.domain.answer import (
    Answer,
    Misconfigured,
    NotCreated,
    Reply,
    Throttled,
    Trade,
    Unavailable,
    Unpaid,
    Untrusted,
)
from reconciler.events import Event
from reconciler.events.orders import OrderSettled
from reconciler.events.trouble import (
    ChannelAtFullRate,
    ChannelAvailable,
    ChannelClockOff,
    ChannelClockRight,
    ChannelPaused,
    ChannelResumed,
    ChannelThrottled,
    ChannelUnavailable,
)
from reconciler.flow.channel import Channel
from reconciler.flow.context import Context
from reconciler.testing.clock import ManualClock
from tests.unit.flow.bench import ALIPAY, NOON, Bench

DOWN, FAST, WRONG_KEY = Unavailable("connection refused"), Throttled(), Misconfigured("isv.invalid-signature")
UNPAID = Unpaid(Trade("N0"))
S, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


class Heard:
    """One channel, and a way to let it hear replies."""

    def __init__(self, bench: Bench, context: Context, channel: Channel) -> None:
        self.bench, self.context, self.channel = bench, context, channel

    async def hear(self, *answers: Answer, off: timedelta | None = None, number: str = "") -> None:
        """Hear answers of one batch, each about another number, all asked just now."""
        now = self.bench.clock.now()
        replies = [Reply(answer, isinstance(answer, Unpaid), now, now, clock_off=off) for answer in answers]
        numbers = [number or f"N{place}" for place in range(len(replies))]
        await self.channel.hear(self.context, numbers, replies)

    async def after(self, wait: timedelta, *answers: Answer, off: timedelta | None = None, number: str = "") -> None:
        """Let time pass, then hear."""
        await self.bench.clock.advance(wait.total_seconds())
        await self.hear(*answers, off=off, number=number)

    @property
    def said(self) -> list[Event]:
        """Everything said about the channel."""
        return [event for event in self.bench.events.events if event.name.startswith("channel.")]

    @property
    def names(self) -> list[str]:
        """The same, by name."""
        return [event.name.removeprefix("channel.") for event in self.said]


@pytest.fixture
async def heard(bench: Bench) -> Heard:
    bench.clock = ManualClock(NOON)
    rounds = bench.process()
    assert await rounds.take_charge()
    return Heard(bench, rounds.context, rounds.channels[0])


# ------------------------------------------------------------------------------------------------------------- outages


async def test_three_asks_in_a_row_that_nobody_took_are_an_outage_and_one_answer_ends_it(heard: Heard) -> None:
    await heard.hear(DOWN, DOWN)
    assert heard.names == []
    await heard.after(MINUTE, DOWN)
    await heard.after(HOUR, *[DOWN] * 50)
    await heard.after(MINUTE, UNPAID, UNPAID)
    gone, back = heard.said
    assert isinstance(gone, ChannelUnavailable)
    assert isinstance(back, ChannelAvailable)
    assert (gone.why, back.after) == ("connection refused", HOUR + 2 * MINUTE)


async def test_a_gateway_that_fails_every_other_ask_is_not_worth_a_line(heard: Heard) -> None:
    for _ in range(500):
        await heard.after(S, DOWN)
        await heard.after(S, UNPAID)
    assert heard.names == []


async def test_a_gateway_that_fails_three_of_four_asks_for_hours_is_one_outage(heard: Heard) -> None:
    for _ in range(2000):
        await heard.after(S, DOWN, DOWN, DOWN)
        await heard.after(S, UNPAID)
    assert heard.names == ["unavailable", "available"]


async def test_outages_close_upon_each_other_are_said_when_they_last_longer_each_time(heard: Heard) -> None:
    for _ in range(60):
        for _ in range(9):
            await heard.after(10 * S, DOWN)
        await heard.after(10 * S, UNPAID)
    assert heard.names == ["unavailable", "available"] * 2


async def test_an_outage_is_a_first_one_again_after_ten_quiet_minutes(heard: Heard) -> None:
    await heard.hear(DOWN, DOWN, DOWN, UNPAID)
    await heard.after(9 * MINUTE, DOWN, DOWN, DOWN, UNPAID)
    assert heard.names == ["unavailable", "available"]
    await heard.after(10 * MINUTE, DOWN, DOWN, DOWN, UNPAID)
    assert heard.names == ["unavailable", "available"] * 2


# -------------------------------------------------------------------------------------------------------- their figures


async def test_the_lines_of_an_outage_say_how_many_orders_and_how_long_at_most(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    for number in range(8):
        bench.order(str(number))
        bench.gateway().will_answer(f"N{number}", DOWN)
    rounds = bench.process()
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(600)
    (gone,) = bench.events.of(ChannelUnavailable)
    assert gone.orders_waiting == 8
    for number in range(8, 12):
        bench.order(str(number), minutes=0)
    for number in range(12):
        bench.pay(f"N{number}")
    await bench.pass_time(900)
    (back,) = bench.events.of(ChannelAvailable)
    assert 8 <= (back.orders_held_up or 0) <= 12
    assert back.longest == back.after
    assert back.after >= timedelta(seconds=600)
    assert len(bench.events.of(OrderSettled)) == 12
    rounds.stop()
    await bench.pass_time(5)
    await running


async def test_an_order_that_came_late_in_an_outage_was_held_up_for_no_longer_than_it_is_old(heard: Heard) -> None:
    await heard.hear(DOWN, DOWN, DOWN)
    await heard.bench.clock.advance(3600)
    heard.bench.order("1", minutes=2)
    await heard.bench.once(heard.bench.process(heard.context.shop, heard.context.ledger))  # type: ignore[arg-type] # doubles
    heard.bench.order("2", minutes=1)
    heard.bench.gateway().will_answer("N2", DOWN)
    await heard.bench.once(heard.bench.process(heard.context.shop, heard.context.ledger))  # type: ignore[arg-type] # doubles
    await heard.hear(UNPAID)
    (back,) = heard.bench.events.of(ChannelAvailable)
    assert (back.orders_held_up, back.after, back.longest) == (1, HOUR, MINUTE)


async def test_a_ledger_that_is_away_takes_the_figure_and_not_the_line(heard: Heard) -> None:
    heard.bench.shelf.unavailable = "disk full"
    await heard.hear(DOWN, DOWN, DOWN)
    heard.bench.shelf.unavailable = None
    (gone,) = heard.bench.events.of(ChannelUnavailable)
    assert gone.orders_waiting is None


# ---------------------------------------------------------------------------------------------------------- wrong keys


async def test_a_wrong_key_is_one_line_at_each_end_with_what_it_meant(bench: Bench) -> None:
    bench.clock = ManualClock(NOON)
    for number in range(8):
        bench.order(str(number))
        bench.gateway().will_answer(f"N{number}", WRONG_KEY)
    rounds = bench.process()
    running = asyncio.create_task(rounds.run())
    await bench.pass_time(3600)
    (paused,) = bench.events.of(ChannelPaused)
    assert paused.orders_waiting == 8
    for number in range(8):
        bench.pay(f"N{number}")
    await bench.pass_time(900)
    (resumed,) = bench.events.of(ChannelResumed)
    assert resumed.orders_held_up == 8
    assert resumed.longest == resumed.after
    assert resumed.after >= HOUR
    assert len(bench.events.of(OrderSettled)) == 8
    rounds.stop()
    await bench.pass_time(5)
    await running


async def test_answers_to_what_was_asked_before_a_pause_neither_end_it_nor_put_off_its_probes(heard: Heard) -> None:
    await heard.hear(WRONG_KEY, UNPAID, WRONG_KEY, WRONG_KEY, WRONG_KEY)
    assert heard.names == ["paused"]
    assert heard.channel.room(heard.bench.clock.now()) == 0
    await heard.bench.clock.advance(30)
    assert heard.channel.room(heard.bench.clock.now()) == 1


async def test_a_probe_that_tells_nothing_is_not_repeated_at_once(heard: Heard) -> None:
    await heard.hear(WRONG_KEY)
    for answer in (DOWN, FAST, Untrusted("no signature")):
        await heard.bench.clock.advance(30)
        assert heard.channel.room(heard.bench.clock.now()) == 1
        await heard.hear(answer)
        assert heard.channel.room(heard.bench.clock.now()) == 0


async def test_a_key_that_works_now_and_then_is_a_pair_of_lines_every_few_minutes_at_most(heard: Heard) -> None:
    for _ in range(3600 // 5):
        await heard.bench.clock.advance(5)
        if heard.channel.room(heard.bench.clock.now()):
            await heard.hear(UNPAID if heard.channel.paused_since else WRONG_KEY)
    assert heard.names[:2] == ["paused", "resumed"]
    assert len(heard.names) <= 2 * (3600 / 300 + 4)


async def test_a_clock_that_was_set_back_does_not_put_off_the_next_probe(heard: Heard) -> None:
    await heard.hear(WRONG_KEY)
    heard.bench.clock.set_wall(NOON - timedelta(hours=8))
    assert heard.channel.room(heard.bench.clock.now()) == 1
    await heard.after(S, UNPAID)
    (resumed,) = heard.bench.events.of(ChannelResumed)
    assert resumed.after == timedelta(0)


# ----------------------------------------------------------------------------------------------------------- throttling


async def test_throttling_begins_with_the_first_and_ends_when_none_was_for_two_minutes(heard: Heard) -> None:
    await heard.hear(FAST, UNPAID, FAST)
    assert heard.names == ["throttled"]
    await heard.after(30 * S, UNPAID, UNPAID)
    await heard.after(30 * S, FAST, number="N0")
    await heard.after(119 * S, UNPAID)
    assert heard.names == ["throttled"]
    await heard.after(S, UNPAID, UNPAID, UNPAID)
    assert heard.names == ["throttled", "at_full_rate"]
    (over,) = heard.bench.events.of(ChannelAtFullRate)
    assert (over.after, over.orders_held_up, over.longest) == (180 * S, 2, 180 * S)


async def test_throttling_does_not_end_on_an_answer_that_says_nothing(heard: Heard) -> None:
    await heard.hear(FAST)
    await heard.after(HOUR, DOWN, Untrusted("no signature"), WRONG_KEY)
    assert heard.names == ["throttled", "paused"]
    await heard.after(MINUTE, NotCreated())
    assert heard.names == ["throttled", "paused", "resumed", "at_full_rate"]


async def test_throttling_counts_anew_each_time(heard: Heard) -> None:
    for orders in (3, 1):
        await heard.after(HOUR, *[FAST] * orders)
        await heard.after(150 * S, *[UNPAID] * orders)
    assert [over.orders_held_up for over in heard.bench.events.of(ChannelAtFullRate)] == [3, 1]
    assert [over.longest for over in heard.bench.events.of(ChannelAtFullRate)] == [150 * S] * 2
    assert len(heard.bench.events.of(ChannelThrottled)) == 2


async def test_a_gateway_that_throttles_every_other_ask_is_one_line(heard: Heard) -> None:
    for _ in range(300):
        await heard.after(10 * S, FAST)
        await heard.after(10 * S, UNPAID)
    assert heard.names == ["throttled"]


# --------------------------------------------------------------------------------------------------------------- clocks


@pytest.mark.parametrize(("off", "ahead"), [(61 * S, "gateway"), (-61 * S, "this machine")])
async def test_a_clock_over_a_minute_off_is_said_once_and_once_more_when_it_is_right(
    heard: Heard, off: timedelta, ahead: str
) -> None:
    for _ in range(100):
        await heard.after(10 * S, UNPAID, off=off)
    (line,) = heard.bench.events.of(ChannelClockOff)
    assert (line.off_by, line.ahead) == (61 * S, ahead)
    for _ in range(100):
        await heard.after(10 * S, UNPAID, off=off / 61)
    (right,) = heard.bench.events.of(ChannelClockRight)
    assert right.off_by == S
    assert heard.names == ["clock_off", "clock_right"], "and no pause"


@pytest.mark.parametrize("off", [60 * S, -60 * S, timedelta(0), None])
async def test_a_clock_within_a_minute_is_not_worth_a_line(heard: Heard, off: timedelta | None) -> None:
    await heard.hear(*[UNPAID] * 50, off=off)
    assert heard.names == []


@pytest.mark.parametrize(("off", "words"), [(241 * S, "241s ahead of"), (-300 * S, "300s behind")])
async def test_a_clock_over_four_minutes_off_pauses_the_channel_with_figure_and_remedy(
    heard: Heard, off: timedelta, words: str
) -> None:
    await heard.hear(UNPAID, UNPAID, UNPAID, off=off)
    assert heard.names == ["clock_off", "paused"]
    (paused,) = heard.bench.events.of(ChannelPaused)
    assert f"the gateway's clock is {words} this machine's" in paused.why
    for remedy in ("timedatectl", "chrony", "systemd-timesyncd"):
        assert remedy in paused.why


async def test_such_a_pause_ends_by_the_first_probe_that_finds_the_clock_right(heard: Heard) -> None:
    await heard.hear(UNPAID, UNPAID, off=400 * S)
    await heard.after(30 * S, UNPAID, off=400 * S)
    assert heard.names == ["clock_off", "paused"]
    await heard.after(60 * S, UNPAID, off=2 * S)
    assert heard.names == ["clock_off", "paused", "resumed"]
    await heard.after(60 * S, UNPAID, off=2 * S)
    assert heard.names == ["clock_off", "paused", "resumed", "clock_right"]


async def test_one_of_many_hosts_with_a_wrong_clock_is_no_wrong_clock_of_ours(heard: Heard) -> None:
    for place in range(2000):
        await heard.after(S, UNPAID, off=400 * S if place % 10 > 5 else 0 * S)
    assert heard.names == []


async def test_a_wrong_clock_that_is_met_first_is_one_pause_and_no_more(heard: Heard) -> None:
    for place in range(2000):
        await heard.after(S, UNPAID, off=400 * S if place % 10 < 4 else 0 * S)
    assert heard.names == ["clock_off", "paused", "resumed"]


async def test_a_clock_that_goes_wrong_is_believed_to_be_wrong_after_a_minute(heard: Heard) -> None:
    await heard.hear(UNPAID, off=0 * S)
    await heard.after(59 * S, UNPAID, UNPAID, off=400 * S)
    assert heard.names == []
    await heard.after(S, UNPAID, off=400 * S)
    assert heard.names == ["clock_off", "paused"]


async def test_a_single_reply_does_not_accuse_our_clock_unless_it_fails_on_it(heard: Heard) -> None:
    await heard.hear(UNPAID, off=400 * S)
    assert heard.names == []
    await heard.hear(WRONG_KEY, off=None)
    assert heard.names == ["paused"]


@pytest.mark.parametrize("off", [90 * S, 400 * S])
async def test_a_refusal_that_comes_with_another_time_is_explained_by_it_at_once(heard: Heard, off: timedelta) -> None:
    await heard.hear(WRONG_KEY, off=off)
    assert heard.names == ["clock_off", "paused"]
    (paused,) = heard.bench.events.of(ChannelPaused)
    assert paused.why.startswith("isv.invalid-signature; the gateway's clock is")
    assert "timedatectl" in paused.why


async def test_a_refusal_at_the_right_time_has_nothing_to_do_with_the_clock(heard: Heard) -> None:
    await heard.hear(WRONG_KEY, off=3 * S)
    (paused,) = heard.bench.events.of(ChannelPaused)
    assert paused.why == "isv.invalid-signature"


async def test_a_gateways_time_comes_with_its_replies(bench: Bench) -> None:
    for number in range(3):
        bench.order(str(number))
        bench.pay(f"N{number}")
    bench.gateway(ALIPAY).clock_off = -500 * S
    await bench.once()
    assert [line.ahead for line in bench.events.of(ChannelClockOff)] == ["this machine"]
    assert len(bench.events.of(OrderSettled)) == 3, "what is proven is proven, whatever the time"


async def test_what_is_not_paid_yet_uses_up_no_age_while_a_clock_is_far_off(bench: Bench) -> None:
    bench.order("1", minutes=60 * 72)  # past its last age, if that clock is right
    bench.gateway(ALIPAY).clock_off = -500 * S
    rounds = await bench.once()
    (watch,) = (await rounds.context.ledger.story("N1")).watches
    assert watch.ended_at is None
    assert watch.last_answered_at is None
    assert "500s behind this machine's" in watch.why
    bench.gateway(ALIPAY).clock_off = timedelta(0)
    await bench.clock.advance(600)
    rounds = await bench.once()
    (watch,) = (await rounds.context.ledger.story("N1")).watches
    assert watch.ended_at is not None
    assert not await rounds.context.ledger.cases()


async def test_a_payment_is_not_compared_with_a_clock_that_is_off_by_days(bench: Bench) -> None:
    for number in range(3):
        bench.order(str(number))
        bench.pay(f"N{number}")
    bench.gateway(ALIPAY).clock_off = -timedelta(days=2)
    rounds = await bench.once()
    assert not await rounds.context.ledger.cases(), "needs_review for its age, it would seem"
    bench.gateway(ALIPAY).clock_off = timedelta(0)
    await bench.clock.advance(600)
    await bench.once()
    assert len(bench.events.of(OrderSettled)) == 3
