from __future__ import annotations

from collections import Counter

import pytest

from reconciler.sandbox.configuration import REVIEW_OVER_FEN
from reconciler.sandbox.plan import LAST_ORDER_BEFORE_END_S, UNTRUSTED_LIMIT, Plan, demo_plan, sandbox_plan
from reconciler.sandbox.trade import Trouble, Twist
from reconciler.sandbox.visit import STRANGE_CHANNEL, Visit
from reconciler.sandbox.wechat_request import NUMBER


@pytest.fixture
def plan() -> Plan:
    return demo_plan(30)


@pytest.fixture
def visits(plan: Plan) -> tuple[Visit, ...]:
    return (*plan.before, *plan.during)


def test_two_demos_are_alike_and_another_seed_is_another_one() -> None:
    assert demo_plan(30) == demo_plan(30)
    assert demo_plan(30) != demo_plan(30, seed=1)


def test_the_demo_has_some_sixty_orders_and_a_longer_one_more(visits: tuple[Visit, ...]) -> None:
    assert 55 <= len(visits) <= 70
    longer = demo_plan(60)
    assert len(longer.before) + len(longer.during) > len(visits) + 20


def test_every_number_is_its_own_rises_with_time_and_suits_both_gateways(visits: tuple[Visit, ...]) -> None:
    numbers = [visit.order_no for visit in visits]
    assert sorted(set(numbers)) == numbers
    assert all(NUMBER.fullmatch(number) for number in numbers)
    times = [visit.at_s for visit in visits]
    assert times == sorted(times)


def test_most_are_paid_and_lost_at_both_gateways(visits: tuple[Visit, ...]) -> None:
    lost = Counter(visit.pay_channel for visit in visits if visit.kind == "callback lost")
    assert set(lost) == {"alipay", "wechat"}
    assert lost.total() >= 20


def test_every_kind_of_order_is_there(visits: tuple[Visit, ...]) -> None:
    assert {visit.trouble for visit in visits} == {*Trouble, None} - {Trouble.RENEWED_CERTIFICATE}  # it ends a channel
    elsewhere = {Twist.UNDATED, Twist.OTHER_CURRENCY}  # of use to tests; a buyer sees neither
    assert {visit.twist for visit in visits} == {*Twist, None} - elsewhere
    assert any(visit.pay_channel == STRANGE_CHANNEL for visit in visits)
    assert any(visit.amount_fen is None for visit in visits)
    assert any((visit.amount_fen or 0) > REVIEW_OVER_FEN for visit in visits)
    assert any(visit.callback_s is not None and visit.callback_s > 5 for visit in visits)
    assert any(visit.callback_s is not None and visit.callback_s < 1 for visit in visits)
    assert any(visit.charged_fen == 1 for visit in visits)
    assert any(visit.opens_s is None for visit in visits)
    assert any(visit.refunds_s is not None for visit in visits)
    assert any(visit.closes_s is not None for visit in visits)
    assert any(visit.deletes_s is not None for visit in visits)
    assert any(visit.expires_s is not None and visit.pays_s and visit.pays_s > visit.expires_s for visit in visits)


def test_only_one_order_is_untrusted_to_the_end(visits: tuple[Visit, ...]) -> None:
    untrusted = [visit for visit in visits if visit.trouble in {Trouble.BAD_SIGNATURE, Trouble.UNSIGNED}]
    assert [visit.trouble for visit in untrusted if visit.trouble_asks == 0] == [Trouble.UNSIGNED]
    assert all(visit.trouble_asks < UNTRUSTED_LIMIT for visit in untrusted)


def test_the_last_order_leaves_time_to_be_settled(plan: Plan) -> None:
    assert plan.during[-1].at_s <= 30 - LAST_ORDER_BEFORE_END_S


def test_those_before_the_start_are_paid_at_once_and_keep_nobody_waiting(plan: Plan) -> None:
    steps = {(visit.at_s, visit.pays_s, visit.callback_s, visit.expires_s, visit.deletes_s) for visit in plan.before}
    assert steps == {(0.0, 0.0, None, None, None)}


def test_a_sandbox_has_as_many_orders_as_asked_for_evenly() -> None:
    visits = sandbox_plan(100, every_s=2.0)
    assert len(visits) == 100
    assert visits[-1].at_s == 198.0
    assert len({visit.kind for visit in visits}) > 10
    assert sandbox_plan(0, every_s=2.0) == ()
