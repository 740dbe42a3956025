from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.domain.answer import Answer, NotCreated, Throttled, Unavailable, Untrusted
from reconciler.pace import RECOVERY_S, UNAVAILABLE_RUN_MAX, NotNow, Pace

DOWN = Unavailable("down")
FINE = NotCreated()


class SteppedClock:
    """Sleepers wake when the test moves time on."""

    def __init__(self) -> None:
        self.time_s = 100.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def now(self) -> datetime:
        return datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=self.time_s)

    def monotonic(self) -> float:
        return self.time_s

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._sleepers.append((self.time_s + seconds, woken))
        await woken.wait()

    async def pass_(self, seconds: float) -> None:
        end = self.time_s + seconds
        await settle()
        while due := sorted((at, id(event), event) for at, event in self._sleepers if at <= end):
            at, _, event = due[0]
            self.time_s = max(self.time_s, at)
            self._sleepers.remove((at, event))
            event.set()
            await settle()
        self.time_s = end


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


async def answered(pace: Pace, clock: SteppedClock, *answers: Answer) -> None:
    """Enter and leave with each answer, a second apart."""
    for answer in answers:
        task = asyncio.create_task(pace.enter())
        await clock.pass_(1)
        await task
        pace.leave(answer)


async def test_asks_start_evenly_and_without_a_burst(clock: SteppedClock) -> None:
    pace = Pace(clock, rate=10, concurrency=100)
    starts: list[float] = []

    async def ask() -> None:
        await pace.enter()
        starts.append(round(clock.monotonic() - 100, 6))

    async with asyncio.TaskGroup() as group:
        for _ in range(25):
            group.create_task(ask())
        await clock.pass_(10)
    assert starts == [round(0.1 * n, 6) for n in range(25)]


async def test_idle_time_is_not_saved_up(clock: SteppedClock) -> None:
    pace = Pace(clock, rate=10, concurrency=100)
    await pace.enter()
    await clock.pass_(60)
    entered = [asyncio.create_task(pace.enter()) for _ in range(5)]
    await settle()
    assert [task.done() for task in entered] == [True, False, False, False, False]
    await clock.pass_(1)
    await asyncio.gather(*entered)


async def test_a_seat_is_waited_for_in_order(clock: SteppedClock) -> None:
    pace = Pace(clock, rate=1e6, concurrency=2)
    order: list[int] = []

    async def ask(number: int) -> None:
        await pace.enter()
        order.append(number)

    tasks = [asyncio.create_task(ask(number)) for number in range(5)]
    await clock.pass_(1)
    assert order == [0, 1]
    assert pace.room() == 0
    for done in range(3):
        pace.leave(FINE)
        await clock.pass_(1)
        assert order == list(range(3 + done))
    await asyncio.gather(*tasks)


async def test_room_is_what_can_start_soon(clock: SteppedClock) -> None:
    assert Pace(clock, rate=20, concurrency=32).room() == 32
    assert Pace(clock, rate=5, concurrency=32).room() == 10
    slow = Pace(clock, rate=0.1, concurrency=32)
    assert slow.room() == 1
    await slow.enter()
    waiting = asyncio.create_task(slow.enter())
    await settle()
    assert slow.room() == 0
    waiting.cancel()
    await settle()
    assert slow.room() == 1


async def test_throttling_halves_the_rate_once_for_asks_in_flight_together(clock: SteppedClock) -> None:
    pace = Pace(clock, rate=16, concurrency=32)
    entered = [asyncio.create_task(pace.enter()) for _ in range(8)]
    await clock.pass_(1)
    await asyncio.gather(*entered)
    for _ in range(8):
        pace.leave(Throttled())
    assert pace.rate == 8
    await clock.pass_(RECOVERY_S / 4)
    assert 8 < pace.rate < 16
    await clock.pass_(RECOVERY_S)
    assert pace.rate == 16


async def test_the_rate_has_a_floor(clock: SteppedClock) -> None:
    pace = Pace(clock, rate=64, concurrency=1)
    for _ in range(40):
        await answered(pace, clock, Throttled())
        await clock.pass_(1)
    assert 1 <= pace.rate < 4


async def test_what_the_gateway_says_to_wait_is_waited_and_no_longer_than_a_minute(clock: SteppedClock) -> None:
    pace = Pace(clock, rate=10, concurrency=4)
    await answered(pace, clock, Throttled(timedelta(hours=9)))
    assert pace.room() == 0
    with pytest.raises(NotNow) as refused:
        await pace.enter()
    assert refused.value.answer == Throttled(timedelta(seconds=60))
    await clock.pass_(60)
    assert pace.room() > 0
    await answered(pace, clock, FINE)


async def open_breaker(pace: Pace, clock: SteppedClock) -> None:
    await answered(pace, clock, *[DOWN] * UNAVAILABLE_RUN_MAX)
    assert pace.is_open


async def test_a_run_of_unavailable_opens_the_breaker_and_a_shorter_one_does_not(clock: SteppedClock) -> None:
    pace = Pace(clock, rate=10, concurrency=4)
    await answered(pace, clock, *[DOWN] * (UNAVAILABLE_RUN_MAX - 1), FINE, *[DOWN] * (UNAVAILABLE_RUN_MAX - 1))
    assert not pace.is_open
    await answered(pace, clock, DOWN)
    assert pace.is_open
    assert pace.room() == 0
    with pytest.raises(NotNow) as refused:
        await pace.enter()
    assert isinstance(refused.value.answer, Unavailable)
    assert "next probe in 5s" in refused.value.answer.reason


async def test_one_probe_goes_through_after_the_back_off(clock: SteppedClock) -> None:
    pace = Pace(clock, rate=10, concurrency=4)
    await open_breaker(pace, clock)
    await clock.pass_(5)
    assert pace.room() == 1
    await pace.enter()
    assert pace.room() == 0
    with pytest.raises(NotNow):
        await pace.enter()
    pace.leave(FINE)
    assert not pace.is_open
    assert pace.room() >= 4


@pytest.mark.parametrize(("held_s", "room"), [(0.5, 4 + 16), (2, 4 + 4), (10, 4), (0, 200)])
async def test_a_seat_counts_as_often_as_it_comes_free_within_two_seconds(
    clock: SteppedClock, held_s: float, room: int
) -> None:
    pace = Pace(clock, rate=100, concurrency=4)
    assert pace.room() == 4, "nobody knows yet how long an ask takes"
    for _ in range(60):
        await pace.enter()
        await clock.pass_(held_s)
        pace.leave(FINE)
        await clock.pass_(1)
    assert pace.room() == room


async def test_an_ask_that_takes_long_makes_the_room_smaller(clock: SteppedClock) -> None:
    pace = Pace(clock, rate=100, concurrency=4)
    rooms = []
    for held_s in (0.1, 0.1, 5):
        await pace.enter()
        await clock.pass_(held_s)
        pace.leave(FINE)
        await clock.pass_(1)
        rooms.append(pace.room())
    assert rooms[0] == rooms[1] > rooms[2] >= 4


async def test_the_back_off_doubles_to_a_minute_and_starts_anew(clock: SteppedClock) -> None:
    pace = Pace(clock, rate=10, concurrency=4)
    await open_breaker(pace, clock)
    for wait_s in (5, 10, 20, 40, 60, 60):
        await clock.pass_(wait_s - 0.01)
        assert pace.room() == 0
        await clock.pass_(0.01)
        assert pace.room() == 1
        await pace.enter()
        pace.leave(DOWN)
    await clock.pass_(60)
    await pace.enter()
    pace.leave(FINE)
    await open_breaker(pace, clock)
    await clock.pass_(5)
    assert pace.room() == 1


async def test_a_probe_that_proves_nothing_does_not_close_the_breaker(clock: SteppedClock) -> None:
    pace = Pace(clock, rate=10, concurrency=4)
    await open_breaker(pace, clock)
    await clock.pass_(5)
    await pace.enter()
    pace.leave(Untrusted("a hotel's login page"))
    assert pace.is_open
    assert pace.room() == 0


async def test_asks_in_flight_when_it_opened_do_not_lengthen_the_back_off(clock: SteppedClock) -> None:
    pace = Pace(clock, rate=1e6, concurrency=20)
    entered = [asyncio.create_task(pace.enter()) for _ in range(20)]
    await clock.pass_(1)
    await asyncio.gather(*entered)
    for _ in range(UNAVAILABLE_RUN_MAX):
        pace.leave(DOWN)
    await clock.pass_(4)
    for _ in range(20 - UNAVAILABLE_RUN_MAX):
        pace.leave(DOWN)
    await clock.pass_(1)
    assert pace.room() == 1


async def test_asks_that_wait_when_it_opens_are_told_so(clock: SteppedClock) -> None:
    pace = Pace(clock, rate=1, concurrency=20)
    await answered(pace, clock, *[DOWN] * (UNAVAILABLE_RUN_MAX - 1))
    await pace.enter()
    waiting = [asyncio.create_task(pace.enter()) for _ in range(3)]
    await settle()
    pace.leave(DOWN)
    await clock.pass_(1)
    refusals = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(refusal) for refusal in refusals] == [NotNow] * 3


async def test_who_is_cancelled_while_waiting_takes_no_seat(clock: SteppedClock) -> None:
    pace = Pace(clock, rate=1, concurrency=1)
    await pace.enter()
    waiting = [asyncio.create_task(pace.enter()) for _ in range(3)]
    await settle()
    for task in waiting:
        task.cancel()
    await settle()
    pace.leave(FINE)
    await answered(pace, clock, FINE)


def test_leaving_without_having_entered_is_a_mistake(clock: SteppedClock) -> None:
    with pytest.raises(RuntimeError):
        Pace(clock, rate=1, concurrency=1).leave(FINE)


@pytest.mark.parametrize(("rate", "concurrency"), [(0, 1), (-1, 1), (1, 0)])
def test_a_pace_without_rate_or_concurrency_is_none(clock: SteppedClock, rate: float, concurrency: int) -> None:
    with pytest.raises(ValueError, match="rate above 0"):
        Pace(clock, rate, concurrency)
