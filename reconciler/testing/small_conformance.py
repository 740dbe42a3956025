"""What every clock, every listener and every pace must do: suites for the doubles and for the real ones.

Each is a class with one fixture to override.
"""

from __future__ import annotations

import asyncio
import dataclasses
import typing
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.domain.answer import NotCreated
from reconciler.domain.money import Money
from reconciler.events import CATALOGUE, Event
from reconciler.ports import Clock, Events, Pacer

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SLEEP_S = 0.02
EXAMPLES: dict[object, object] = {
    str: "A1\n\x1b[31m",
    int: 3,
    bool: True,
    Money: Money(9900),
    datetime: NOON,
    timedelta: timedelta(seconds=252),
}


class ClockConformance:
    """The port `Clock`."""

    @pytest.fixture
    def clock(self) -> Clock:
        """Give the clock to be tried; one that stands still must move by itself when everybody sleeps."""
        raise NotImplementedError

    async def test_its_time_carries_an_offset(self, clock: Clock) -> None:
        assert clock.now().utcoffset() is not None

    async def test_a_sleep_takes_as_long_as_it_says_by_both_of_its_times(self, clock: Clock) -> None:
        now, monotonic = clock.now(), clock.monotonic()
        await clock.sleep(SLEEP_S)
        assert clock.monotonic() - monotonic >= SLEEP_S * 0.99
        assert clock.now() - now >= timedelta(seconds=SLEEP_S * 0.9)

    async def test_no_sleep_at_all_lets_others_run(self, clock: Clock) -> None:
        ran = asyncio.create_task(asyncio.sleep(0))
        await clock.sleep(0)
        await clock.sleep(-1)
        assert ran.done()


class EventsConformance:
    """The port `Events`."""

    @pytest.fixture
    def events(self) -> Events:
        """Give the listener to be tried."""
        raise NotImplementedError

    @pytest.mark.parametrize("name", sorted(CATALOGUE))
    def test_it_takes_every_event_of_the_catalogue(self, events: Events, name: str) -> None:
        events.emit(example_of(CATALOGUE[name]))


class PacerConformance:
    """The port `Pacer`."""

    @pytest.fixture
    def pacer(self) -> Pacer:
        """Give a pace with room for two asks at least."""
        raise NotImplementedError

    async def test_a_turn_takes_room_and_gives_it_back(self, pacer: Pacer) -> None:
        before = pacer.room()
        assert before >= 1
        await pacer.enter()
        assert pacer.room() < before
        pacer.leave(NotCreated())
        assert pacer.room() >= 1

    async def test_the_breaker_is_closed_at_first_and_after_an_answer(self, pacer: Pacer) -> None:
        assert not pacer.is_open
        await pacer.enter()
        pacer.leave(NotCreated())
        assert not pacer.is_open

    async def test_a_turn_that_was_not_taken_cannot_be_given_back(self, pacer: Pacer) -> None:
        with pytest.raises(RuntimeError):
            pacer.leave(NotCreated())


def example_of(kind: type[Event]) -> Event:
    """Make an event with something in every field, control characters in every text."""
    hints = typing.get_type_hints(kind)
    fields: tuple[dataclasses.Field[object], ...] = dataclasses.fields(kind)  # type: ignore[arg-type] # @event made it one
    values = {}
    for field in fields:
        hint = hints[field.name]
        options = [hint, *typing.get_args(hint)]
        values[field.name] = next(EXAMPLES[option] for option in options if option in EXAMPLES)
    return kind(**values)
