"""The benchmark of asking: days, rules, and how one is played on the other."""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.asking import compare
from benchmarks.shop_day.day import (
    DOWN,
    DOWN_FROM_S,
    DOWN_UNTIL_S,
    FLASH,
    KINDS,
    STEADY,
    VALID_FOR_S,
    OrderOfDay,
    draw,
)
from benchmarks.shop_day.play import Played, play
from benchmarks.shop_day.plot import picture
from benchmarks.shop_day.rules import LISTS, PER_ORDER, RIVALS, Ages, Gaps, Ours, Rule, Ticks, Window, ours
from benchmarks.shop_day.table import Line, against_each, figures, line_of
from reconciler.settings.model import AskSettings

NEVER = math.inf


def order(
    created: float = 0.0, paid: float = NEVER, told: float = NEVER, opened: float = 0.0, *, failed: bool = True
) -> OrderOfDay:
    return OrderOfDay("A1", created, opened, paid, told, first_failed=failed)


def asked_at(rule: Rule, created: float, until: float = 7300.0) -> list[float]:
    """List the asks about an order that nobody pays."""
    asks: list[float] = []
    at = rule.next(order(created), None, 0)
    while at <= until:
        asks.append(at)
        at = rule.next(order(created), at, len(asks))
    return asks


# ------------------------------------------------------------------------------------------------------------ the days


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_day_is_the_same_for_the_same_seed_and_another_for_another(kind: object) -> None:
    assert draw(kind, 1, 300) == draw(kind, 1, 300)  # type: ignore[arg-type] # pytest's parameters have no type
    assert draw(kind, 1, 300) != draw(kind, 2, 300)  # type: ignore[arg-type] # the same


def test_what_is_paid_was_opened_before_and_within_the_trades_time() -> None:
    for one in draw(FLASH, 1, 3000):
        if not math.isinf(one.paid):
            assert one.created <= one.opened <= one.paid <= one.created + 7200
            assert one.told > one.paid


def test_no_callback_gets_through_while_they_are_down() -> None:
    day = draw(DOWN, 1, 3000)
    assert not any(DOWN_FROM_S <= one.told < DOWN_UNTIL_S for one in day)
    assert sum(one.first_failed for one in day) > 10 * sum(one.first_failed for one in draw(STEADY, 1, 3000))


# ----------------------------------------------------------------------------------------------------------- the rules


def test_each_rule_of_other_programs_asks_when_its_program_does() -> None:
    asks = {rule.name.rpartition("(")[2].strip(")"): asked_at(rule, 30.0) for rule in RIVALS}
    minute = 60.0
    assert asks["jeepay"] == [minute * number for number in range(11, 121)]
    assert asks["yudao"] == [minute * number for number in range(1, 11)]
    dax = [*(minute * number for number in range(2, 11)), *(minute * number for number in range(20, 61, 10))]
    assert asks["dax-pay"] == [*dax, 2 * 3600.0]
    assert asks["roncoo"] == [30 + minute * number for number in (2, 5, 10, 20, 40, 70)]
    assert asks["roncoo, as ages"] == [30 + minute * number for number in (2, 3, 5, 10, 20, 30)]
    assert asks["Hyperswitch"] == [30 + minute + 5 * minute * number for number in range(6)]
    assert asks["Kill Bill"] == [30 + 60 * minute]
    assert asks["WeChat Pay's advice"] == [35.0, 60.0, *(30 + minute * number for number in (1, 3, 5, 10, 30))]


def test_ours_asks_at_the_jittered_default_ages() -> None:
    asks = asked_at(Ours("ours"), 30.0, until=7200.0)
    ages = [age.total_seconds() for age in AskSettings().ages if age < timedelta(hours=2)]
    assert asks[0] == 30.0 + ages[0]
    assert all(30 + age <= at <= 30 + age * 1.05 for age, at in zip(ages, asks, strict=True))


def test_the_default_that_is_shipped_is_the_one_that_is_played() -> None:
    shipped, *others = ours()
    listed, learned = others[: len(LISTS)], others[len(LISTS) :]
    assert isinstance(shipped, Ours)
    assert shipped.ages == AskSettings().ages
    assert AskSettings().per_order in PER_ORDER
    assert len(learned) == len(PER_ORDER)
    assert all(isinstance(rule, Ours) and rule.ages[-1] == shipped.ages[-1] for rule in learned)
    assert all(isinstance(rule, Ours) and rule.ages[-1].total_seconds() > VALID_FOR_S for rule in listed)


def test_the_page_shows_the_lists_as_the_configuration_takes_them() -> None:
    page = Path("docs/performance.md").read_text()
    written = {share: ", ".join(f'"{age}"' for age in listed.split()) for share, listed in LISTS.items()}
    assert [row for share, listed in written.items() if (row := f"| {share} | `[{listed}]` |") not in page] == []


# ------------------------------------------------------------------------------------------------------------- playing


def test_a_payment_is_found_by_the_next_ask() -> None:
    assert play(Ages("a", (60.0, 120.0)), (order(paid=70.0),)) == Played(2, 1, (50.0,))


def test_a_callback_that_comes_first_costs_no_more_asks() -> None:
    assert play(Ages("a", (60.0, 120.0)), (order(paid=20.0, told=23.0, failed=False),)) == Played(0, 1, ())
    assert play(Ages("a", (60.0, 120.0)), (order(paid=70.0, told=100.0),)) == Played(1, 1, (30.0,))


def test_what_is_paid_after_the_last_ask_is_never_recovered() -> None:
    played = play(Gaps("a", (60.0,)), (order(paid=70.0),))
    assert played == Played(1, 1, (NEVER,))
    assert played.never == 1.0
    assert played.mean_min == 2880.0


def test_a_trade_that_is_closed_at_the_gateway_is_asked_about_once_and_one_that_never_was_to_the_end() -> None:
    late = Ages("a", (7300.0, 9000.0, 20000.0))
    assert play(late, (order(),)).queries == 1
    assert play(late, (order(opened=NEVER),)).queries == 3


def test_a_fresh_payment_is_left_to_its_callback_and_asked_about_again() -> None:
    rule = Ages("a", (60.0,), grace_s=10.0)
    assert play(rule, (order(paid=55.0),)) == Played(2, 1, (10.0,))
    assert play(rule, (order(paid=55.0, told=58.0, failed=False),)) == Played(0, 1, ())
    assert play(rule, (order(paid=55.0, told=64.0),)) == Played(1, 1, (9.0,))


@pytest.mark.parametrize("newest_first", [False, True])
def test_no_rule_asks_faster_than_the_rate(newest_first: bool) -> None:
    day = tuple(order(paid=1.0) for _ in range(400))
    waits = play(Ages("a", (60.0,), newest_first), day).waits_s
    assert waits[0] == 59.0
    assert waits[-1] == pytest.approx(59.0 + 399 / 40)


def test_the_newest_go_first_with_a_share_for_the_oldest() -> None:
    day = tuple(order(float(place), paid=float(place)) for place in range(40))
    moved = dict(zip(range(40), play(Ticks("a", (Window(0, 200, 100),), newest_first=True), day).waits_s, strict=True))
    assert play(Ticks("a", (Window(0, 200, 100),)), day).waits_s != tuple(moved.values())


# ----------------------------------------------------------------------------------------------------------- the tables


def test_percentiles_are_of_the_orders_that_needed_recovery() -> None:
    played = Played(10, 5, tuple(60.0 * number for number in range(1, 101)))
    assert (played.wait_min(0.5), played.wait_min(0.99), played.per_order) == (50.0, 99.0, 2.0)


def line(per_order: float, wait: float, *, own: bool, never: float = 0.0) -> Line:
    return Line("ours" if own else "theirs", own, per_order, wait, wait, wait, never)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (line(3.0, 1.0, own=True), "| theirs | ours | better | ours | 3.00 for 4.00 |"),
        (line(5.0, 1.0, own=True), "| theirs | none |  | ours | 5.00 for 4.00 |"),
        (line(3.0, 3.0, own=True), "| theirs | ours | worse: median, mean, 99th percentile | none |  |"),
        (line(4.0, 2.0, own=True), "| theirs | ours | no figure worse | ours | 4.00 for 4.00 |"),
        (line(4.0, 2.0, own=True, never=0.1), "| theirs | ours | worse: never | none |  |"),
    ],
)
def test_each_other_rule_is_compared_at_no_more_asks_and_at_no_worse_recovery(own: Line, said: str) -> None:
    assert list(against_each([line(4.0, 2.0, own=False), own]))[2:] == [said]


def test_days_of_one_kind_are_summed_up() -> None:
    both = line_of("x", [Played(2, 1, (60.0,)), Played(4, 1, (180.0, NEVER))], is_ours=False)
    assert (both.per_order, both.median, both.never) == (3.0, 3.0, 1 / 3)
    assert list(figures([both]))[2] == "| x | 3.00 | 3.00 | 961.33 | never | 33.3% |"


def test_every_rule_is_played_and_drawn() -> None:
    lines = compare([STEADY], [1, 2], 400)["steady"]
    assert [one.is_ours for one in lines] == [False] * len(RIVALS) + [True] * (1 + len(LISTS) + len(PER_ORDER))
    drawn = picture({"a": lines, "b": lines})
    assert drawn.count("<circle") == 4 * len(lines)
    learned = lines[-len(PER_ORDER) :]
    assert all(one.per_order < two.per_order for one, two in pairwise(learned))
