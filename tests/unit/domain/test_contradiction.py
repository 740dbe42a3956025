"""A gateway that says something else than before: nothing follows but that a person must look at it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reconciler.domain.answer import Answer, NotCreated, Paid, Refunded, Trade, Unpaid
from reconciler.domain.case import CaseKind, digest_of
from reconciler.domain.decision import AskAt, CloseTrade, OpenCase, Settle
from reconciler.domain.policy import LatePayment
from reconciler.domain.schedule import RETRY_MAX
from tests.unit.domain.conftest import CREATED, Scene

DENIALS = (Unpaid(Trade("A1-1")), NotCreated())
PAST = timedelta(hours=49)


@pytest.fixture(params=["pending", "closed"])
def paid_before(request: pytest.FixtureRequest, scene: Scene) -> Scene:
    return scene.in_state(request.param).with_history(last_verified="Paid")


@pytest.mark.parametrize("denial", DENIALS, ids=lambda answer: type(answer).__name__)
def test_a_payment_is_not_given_up_for_a_denial_past_the_last_age(paid_before: Scene, denial: Answer) -> None:
    late = paid_before.at_age(PAST)
    decision = late.decide(denial)
    assert isinstance(decision, OpenCase)
    assert decision.kind is CaseKind.NEEDS_REVIEW
    assert not late.ends(denial), "it is asked about on, and a payment that is said again settles it"


@pytest.mark.parametrize("denial", DENIALS, ids=lambda answer: type(answer).__name__)
def test_before_that_it_is_asked_about_again_within_minutes(paid_before: Scene, denial: Answer) -> None:
    waiting = paid_before.at_age(timedelta(hours=25))
    assert waiting.decide(denial) == AskAt(waiting.now + RETRY_MAX, waiting.decide(denial).why)


def test_its_trade_is_not_closed_at_the_gateway(paid_before: Scene) -> None:
    late = paid_before.with_policy(closes_at_gateway=True).at_age(PAST)
    assert not isinstance(late.decide(DENIALS[0]), CloseTrade)


def test_whichever_denial_it_is_the_question_is_the_same(paid_before: Scene) -> None:
    first, second = (paid_before.at_age(PAST).decide(denial) for denial in DENIALS)
    assert isinstance(first, OpenCase)
    assert isinstance(second, OpenCase)
    assert digest_of(first.kind, first.facts) == digest_of(second.kind, second.facts)


def test_what_a_person_has_looked_at_is_asked_about_no_more(paid_before: Scene) -> None:
    late = paid_before.at_age(PAST)
    case = late.decide(DENIALS[0])
    assert isinstance(case, OpenCase)
    assert late.with_history(resolved=frozenset({case.digest(late.attempt.number)})).ends(DENIALS[0])


def test_a_question_that_is_open_already_is_enough(paid_before: Scene) -> None:
    open_already = paid_before.at_age(PAST).with_history(open_cases=frozenset({CaseKind.AMOUNT_MISMATCH}))
    assert open_already.word(DENIALS[0]) == "probe"
    assert not open_already.ends(DENIALS[0]), "that case keeps its watch"
    own = paid_before.at_age(PAST).with_history(open_cases=frozenset({CaseKind.NEEDS_REVIEW}))
    assert own.word(DENIALS[0]) == "probe"


@pytest.mark.parametrize(("state", "kind"), [("pending", "refunded_while_pending"), ("closed", "refund_unclear")])
def test_a_payment_that_is_older_than_its_refund_moves_nothing(scene: Scene, state: str, kind: str) -> None:
    refunded = scene.in_state(state).with_policy(late_payment=LatePayment.REVIVE)
    assert isinstance(refunded.decide(), Settle)
    assert refunded.with_history(last_verified="Refunded").word() == kind


def test_it_is_the_question_that_the_refund_asked(scene: Scene) -> None:
    asked = scene.decide(Refunded(scene.trade, in_full=True))
    again = scene.with_history(last_verified="Refunded").decide(Paid(scene.trade))
    assert isinstance(asked, OpenCase)
    assert isinstance(again, OpenCase)
    assert digest_of(asked.kind, asked.facts) == digest_of(again.kind, again.facts)


def test_the_first_payment_after_a_denial_is_one(scene: Scene) -> None:
    assert scene.now > CREATED
    assert isinstance(scene.with_history(last_verified="Unpaid").decide(), Settle)
