"""Turns: never more than so many a minute, in the order they came, and nobody is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.domain.order import OrderKey
from reconciler.flow.turns import FORGOTTEN_AFTER_S, MINUTE_S, MISSED_AFTER_S, WAITING_MAX, Turns


def key(number: int) -> OrderKey:
    return OrderKey(str(number))


def in_any_minute(taken: list[float]) -> int:
    return max((sum(start <= at < start + MINUTE_S for at in taken) for start in taken), default=0)


def everybody(turns: Turns, arrivals: list[float], late_s: float = 0.0) -> list[tuple[float, int]]:
    """Let everybody come, and come back when told to (a little late); give who had a turn, when."""
    coming = sorted((at, number) for number, at in enumerate(arrivals))
    taken: list[tuple[float, int]] = []
    for _ in range(20_000):
        if not coming:
            return taken
        now_s, number = coming.pop(0)
        turn = turns.take(key(number), now_s)
        if turn is None:
            taken.append((now_s, number))
        else:
            coming.append((turn + late_s, number))
            coming.sort()
    raise AssertionError("somebody never has a turn")


def test_a_burst_goes_in_the_order_it_came_at_the_rate_and_no_faster() -> None:
    turns = Turns(per_minute=120)
    taken = everybody(turns, [number / 1000 for number in range(2000)])
    assert [number for _, number in taken] == list(range(2000))
    assert in_any_minute([at for at, _ in taken]) == 120
    assert taken[-1][0] < (2000 // 120 + 1) * MINUTE_S, "and no slower"
    assert turns.waiting(1e6) == 0


@given(
    arrivals=st.lists(st.floats(0, 600, allow_nan=False), max_size=60),
    per_minute=st.integers(1, 10),
    late_s=st.floats(0, 200, allow_nan=False),
)
def test_no_minute_sees_more_and_everybody_has_a_turn(arrivals: list[float], per_minute: int, late_s: float) -> None:
    taken = everybody(Turns(per_minute), arrivals, late_s)
    assert sorted(number for _, number in taken) == list(range(len(arrivals)))
    assert in_any_minute([at for at, _ in taken]) <= per_minute


def test_who_comes_too_early_keeps_his_turn() -> None:
    turns = Turns(per_minute=1)
    assert turns.take(key(1), 0) is None
    assert turns.take(key(2), 1) == 60
    assert turns.take(key(3), 2) == 120
    assert turns.take(key(2), 30) == 60
    assert turns.take(key(2), 60) is None


def test_a_newcomer_does_not_take_the_place_of_one_who_has_waited() -> None:
    turns = Turns(per_minute=1)
    turns.take(key(1), 0)
    assert turns.take(key(2), 0) == 60
    assert turns.take(key(3), 60) == 120
    assert turns.take(key(2), 61) is None


def test_a_turn_that_nobody_takes_holds_up_nobody_and_is_not_lost_to_who_comes_late() -> None:
    turns = Turns(per_minute=1)
    turns.take(key(1), 0)
    turns.take(key(2), 0)
    late_s = 60 + MISSED_AFTER_S + 1
    assert turns.waiting(late_s) == 0
    assert turns.take(key(3), late_s) is None
    assert turns.take(key(2), late_s + 60) is None


def test_a_turn_that_nobody_comes_for_in_an_hour_is_forgotten() -> None:
    turns = Turns(per_minute=1)
    turns.take(key(1), 0)
    turns.take(key(2), 0)
    turns.take(key(3), 60 + FORGOTTEN_AFTER_S + 1)
    assert not turns._waiting


def test_what_was_settled_before_counts() -> None:
    turns = Turns(per_minute=3)
    turns.note(0, 2)
    assert turns.take(key(1), 1) is None
    assert turns.take(key(2), 1) == 60


def test_a_queue_without_end_is_not_kept() -> None:
    turns = Turns(per_minute=1)
    turns.take(key(0), 0)
    for number in range(1, 40):
        turns.take(key(number), 0)
    turns._waiting.update({key(number): 9000.0 for number in range(40, WAITING_MAX + 10)})
    waiting = turns.waiting(0)
    assert turns.take(key(-1), 0) is not None
    assert turns.waiting(0) == waiting
