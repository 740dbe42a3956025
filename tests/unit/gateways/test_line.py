"""One call on the line: turns, tries, one deadline, two hosts, and whose clock is wrong."""

import asyncio
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from reconciler.domain.answer import Answer, NotCreated, Throttled, Unavailable, Untrusted
from reconciler.gateways.line import BACK_TO_FIRST_S, RETRY_WAIT_S, TRIES_MAX, Call, Line, Way, clock_off
from reconciler.pace import NotNow, Pace
from reconciler.testing.clock import AutoClock
from reconciler.testing.memory import KeptInMind
from reconciler.testing.pace import FreePace
from reconciler.transport import HttpRequest, HttpResponse, Transport, TransportFailure

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
FIRST, SECOND = "https://one.example", "https://two.example"
WELL = HttpResponse(200, (), b"well")
AGAIN = HttpResponse(503, (), b"again")


@dataclass(frozen=True)
class Said:
    answer: Answer | None
    again: bool = False


class Wire(Transport):
    """Answers by a script, and notes where each try went and how long it was given."""

    def __init__(self, clock: AutoClock, *script: HttpResponse | TransportFailure | float) -> None:
        self.clock = clock
        self.script = list(script)
        self.sent: list[tuple[str, float]] = []

    async def send(self, request: HttpRequest, timeout: timedelta) -> HttpResponse:  # noqa: ASYNC109 # as Transport has it
        self.sent.append((request.url, timeout.total_seconds()))
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, float):  # hangs for that long, or until the deadline
            await self.clock.sleep(min(step, timeout.total_seconds()))
            raise TransportFailure("no whole answer in time")
        if isinstance(step, TransportFailure):
            raise step
        return step

    @property
    def hosts(self) -> list[str]:
        return [url for url, _ in self.sent]


def read(response: HttpResponse, _: datetime) -> Said:
    if response is AGAIN:
        return Said(Unavailable("HTTP 503"), again=True)
    return Said(NotCreated())


CALL = Call("GET /", lambda _, endpoint: HttpRequest("GET", endpoint, ()), read)


@pytest.fixture
def clock() -> AutoClock:
    return AutoClock(NOW)


def line_of(wire: Wire, *endpoints: str, pace: FreePace | None = None) -> Line:
    way = Way(wire, pace or FreePace(), wire.clock, timedelta(seconds=5), KeptInMind())
    return Line(way, endpoints or (FIRST,))


async def test_one_try_is_enough_where_the_gateway_answers(clock: AutoClock) -> None:
    wire = Wire(clock, WELL)
    done = await line_of(wire).exchange(CALL)
    assert done.read == Said(NotCreated())
    assert wire.sent == [(FIRST, 5.0)]


async def test_what_was_signed_ahead_is_sent_once_and_a_retry_signed_anew(clock: AutoClock) -> None:
    written: list[HttpRequest] = []

    def write(_: datetime, endpoint: str) -> HttpRequest:
        written.append(HttpRequest("GET", f"{endpoint}/{len(written)}", ()))
        return written[-1]

    wire = Wire(clock, AGAIN, WELL)
    line = line_of(wire)
    (call,) = line.ahead([Call("GET /", write, read)])
    await line.exchange(call)
    await line.exchange(call)
    assert wire.hosts == [f"{FIRST}/{count}" for count in range(3)]


async def test_a_broken_connection_is_tried_again_within_the_same_ask(clock: AutoClock) -> None:
    wire = Wire(clock, TransportFailure("reset"), WELL)
    done = await line_of(wire).exchange(CALL)
    assert done.read == Said(NotCreated())
    assert len(wire.sent) == 2


@pytest.mark.parametrize("step", [TransportFailure("refused"), AGAIN])
async def test_tries_are_bounded_and_the_last_word_counts(
    clock: AutoClock, step: HttpResponse | TransportFailure
) -> None:
    wire = Wire(clock, step)
    done = await line_of(wire).exchange(CALL)
    assert len(wire.sent) == TRIES_MAX
    answer = done.read.answer if done.read else done.missed
    assert isinstance(answer, Unavailable)


async def test_what_would_end_the_same_way_is_not_tried_again(clock: AutoClock) -> None:
    wire = Wire(clock, TransportFailure("the answer is larger than 1000000 bytes", lasts=True))
    done = await line_of(wire).exchange(CALL)
    assert len(wire.sent) == 1
    assert isinstance(done.missed, Unavailable)


async def test_all_tries_share_one_deadline(clock: AutoClock) -> None:
    wire = Wire(clock, 4.0, 4.0, WELL)
    done = await line_of(wire).exchange(CALL)
    given = [timeout for _, timeout in wire.sent]
    assert given[0] == 5.0
    assert sum(min(4.0, each) for each in given) <= 5.0 + 1e-6
    assert isinstance(done.missed, Unavailable)


async def test_a_hanging_first_host_leaves_half_of_the_time_for_the_second(clock: AutoClock) -> None:
    wire = Wire(clock, 60.0, WELL)
    done = await line_of(wire, FIRST, SECOND).exchange(CALL)
    assert wire.hosts == [FIRST, SECOND]
    assert [timeout for _, timeout in wire.sent] == pytest.approx([2.5, 2.5], abs=0.11)
    assert done.read == Said(NotCreated())


async def test_the_second_host_stays_for_a_while_and_then_the_first_has_another_chance(clock: AutoClock) -> None:
    wire = Wire(clock, TransportFailure("refused"), WELL)
    line = line_of(wire, FIRST, SECOND)
    await line.exchange(CALL)
    await line.exchange(CALL)
    assert wire.hosts == [FIRST, SECOND, SECOND]
    await clock.advance(BACK_TO_FIRST_S)
    await line.exchange(CALL)
    assert wire.hosts[-1] == FIRST


async def test_the_tries_of_a_call_share_a_turn_and_tell_the_pace_what_came_in_the_end(clock: AutoClock) -> None:
    pace = FreePace()
    wire = Wire(clock, TransportFailure("reset"), AGAIN, WELL)
    await line_of(wire, pace=pace).exchange(CALL)
    assert [type(answer) for answer in pace.heard] == [NotCreated]
    assert pace.inside == 0


async def test_each_try_waits_for_its_start_at_the_channels_rate(clock: AutoClock) -> None:
    pace = Pace(clock, 0.5, 1)
    line = Line(Way(Wire(clock, AGAIN), pace, clock, timedelta(seconds=60), KeptInMind()), [FIRST])
    await line.exchange(CALL)
    assert clock.monotonic() == pytest.approx(2 * (TRIES_MAX - 1))


async def test_tries_do_not_wait_for_those_who_wait_for_their_seats(clock: AutoClock) -> None:
    line = Line(Way(Wire(clock, AGAIN), Pace(clock, 1e6, 2), clock, timedelta(seconds=60), KeptInMind()), [FIRST])
    async with asyncio.timeout(20):
        await asyncio.gather(*(line.exchange(CALL) for _ in range(8)))


class FullPace(FreePace):
    """Lets so many starts through, and then none."""

    def __init__(self, starts: int) -> None:
        super().__init__()
        self.starts = starts

    def _start(self) -> None:
        if self.starts == 0:
            raise NotNow(Throttled(timedelta(seconds=9)))
        self.starts -= 1

    async def enter(self) -> None:
        self._start()
        await super().enter()

    async def again(self) -> None:
        self._start()


async def test_without_a_turn_nothing_is_sent(clock: AutoClock) -> None:
    wire = Wire(clock, WELL)
    done = await line_of(wire, pace=FullPace(0)).exchange(CALL)
    assert done.missed == Throttled(timedelta(seconds=9))
    assert wire.sent == []


async def test_where_the_gateway_wants_us_to_wait_before_another_try_the_first_answer_stands(clock: AutoClock) -> None:
    wire = Wire(clock, TransportFailure("reset"), WELL)
    done = await line_of(wire, pace=FullPace(1)).exchange(CALL)
    assert done.missed == Unavailable("reset")
    assert len(wire.sent) == 1


async def test_a_cancelled_call_gives_its_seat_back_and_says_nothing_of_the_gateway(clock: AutoClock) -> None:
    pace = FreePace()
    task = asyncio.create_task(line_of(Wire(clock, 60.0), pace=pace).exchange(CALL))
    for _ in range(4):
        await asyncio.sleep(0)
    assert pace.inside == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pace.inside == 0
    assert [type(answer) for answer in pace.heard] == [Untrusted]


def dated(date: str) -> HttpResponse:
    return HttpResponse(200, (("date", date),), b"")


@pytest.mark.parametrize("off", [timedelta(0), timedelta(minutes=5), -timedelta(hours=3)])
def test_the_gateways_date_is_held_against_the_middle_of_the_ask(off: timedelta) -> None:
    middle = NOW + timedelta(seconds=2)
    response = dated(format_datetime(middle + off, usegmt=True))
    assert clock_off(response, NOW, NOW + timedelta(seconds=4)) == off


@pytest.mark.parametrize(
    "response",
    [
        HttpResponse(200, (), b""),
        dated(""),
        dated("yesterday"),
        dated("Mon, 23 Nov 2026 10:00:00 -0000"),
        dated("Mon, 99 Nov 2026 10:00:00 GMT"),
        dated("Mon, 23 Nov 999999999999 10:00:00 GMT"),
        dated("9" * 100_000),
        dated("Mon, 23 Nov 2026 10:00:00 +9999999999"),
        HttpResponse(200, (("date", "Mon, 23 Nov 2026 10:00:00 GMT"),) * 2, b""),
    ],
    ids=lambda response: str(response.headers)[:40],
)
def test_a_date_that_says_nothing_is_no_figure(response: HttpResponse) -> None:
    assert clock_off(response, NOW, NOW) is None


async def test_a_proxys_date_is_not_the_gateways(clock: AutoClock) -> None:
    page = HttpResponse(502, (("date", "Mon, 23 Nov 2020 10:00:00 GMT"),), b"<html>")

    def fails(_response: HttpResponse, _at: datetime) -> Said:
        return Said(Unavailable("HTTP 502"))

    done = await line_of(Wire(clock, page)).exchange(Call("GET /", CALL.write, fails))
    assert done.clock_off is None


async def test_a_request_is_signed_beside_the_event_loop(clock: AutoClock) -> None:
    threads: list[str] = []

    def write(_: datetime, endpoint: str) -> HttpRequest:
        threads.append(threading.current_thread().name)
        return HttpRequest("GET", endpoint, ())

    await line_of(Wire(clock, AGAIN)).exchange(Call("GET /", write, read))
    assert len(threads) == TRIES_MAX
    assert all(name.startswith("signer") for name in threads)


async def test_each_try_after_the_first_waits_a_moment(clock: AutoClock) -> None:
    before_s = clock.monotonic()
    await line_of(Wire(clock, AGAIN)).exchange(CALL)
    waited_s = clock.monotonic() - before_s
    assert (TRIES_MAX - 1) * RETRY_WAIT_S[0] <= waited_s <= (TRIES_MAX - 1) * RETRY_WAIT_S[1]
