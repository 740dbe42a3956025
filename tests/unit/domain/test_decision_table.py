"""The tables of design.md, *Decisions*, cell by cell.

A column is the order in the shop ("other": with another transaction than this one recorded), a row is the answer.
`again`, `later`, `soon` are paces of asking on; `kind/soon` is a case whose watch goes on with back-off.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from reconciler.domain.decision import OpenCase, Pace, PauseChannel

if TYPE_CHECKING:
    from tests.unit.domain.conftest import Scene

BEFORE_LAST_AGE = """
                  | pending                | closed         | paid  | paid, other       | refunded | refunded, other   | gone           | unmapped         | unreadable
Paid              | Settle                 | late_payment   | Done  | duplicate_payment | Done     | paid_after_refund | order_vanished | unreadable_order | unreadable_order
Refunded in full  | refunded_while_pending | Stop           | Stop  | Stop              | Done     | Done              | Stop           | Stop             | Stop
Refunded in part  | refunded_while_pending | refund_unclear | Stop  | Stop              | Done     | Done              | Stop           | Stop             | Stop
Refunded, unknown | refunded_while_pending | refund_unclear | Stop  | Stop              | Done     | Done              | Stop           | Stop             | Stop
Unpaid            | again                  | later          | later | later             | Done     | Done              | again          | again            | again
NotCreated        | again                  | later          | later | later             | Done     | Done              | again          | again            | again
Closed            | Stop                   | Stop           | Stop  | Stop              | Done     | Done              | Stop           | Stop             | Stop
"""  # noqa: E501 # a table is read across

AFTER_LAST_AGE = """
                  | pending                | closed         | paid  | paid, other       | refunded | refunded, other   | gone           | unmapped         | unreadable
Paid              | Settle                 | late_payment   | Done  | duplicate_payment | Done     | paid_after_refund | order_vanished | unreadable_order | unreadable_order
Refunded in full  | refunded_while_pending | Stop           | Stop  | Stop              | Done     | Done              | Stop           | Stop             | Stop
Refunded in part  | refunded_while_pending | refund_unclear | Stop  | Stop              | Done     | Done              | Stop           | Stop             | Stop
Refunded, unknown | refunded_while_pending | refund_unclear | Stop  | Stop              | Done     | Done              | Stop           | Stop             | Stop
Unpaid            | Stop                   | Stop           | Stop  | Stop              | Done     | Done              | Stop           | Stop             | Stop
NotCreated        | Stop                   | Stop           | Stop  | Stop              | Done     | Done              | Stop           | Stop             | Stop
Closed            | Stop                   | Stop           | Stop  | Stop              | Done     | Done              | Stop           | Stop             | Stop
"""  # noqa: E501 # a table is read across

NOT_USABLE = """
                  | before the last age | after it
Unavailable       | soon                | unanswered/soon
Throttled         | soon                | unanswered/soon
Untrusted         | soon                | unanswered/soon
Misconfigured     | PauseChannel        | PauseChannel
Rejected          | unaskable           | unaskable
Unrecognised      | unrecognised_state  | unrecognised_state
"""

STATES = (
    "pending",
    "closed",
    "paid",
    "paid, other",
    "refunded",
    "refunded, other",
    "gone",
    "unmapped",
    "unreadable",
)
SIGNATURE_DUE = ("Paid", "Refunded in full", "Refunded in part", "Refunded, unknown", "Unpaid", "Closed")
LATE = timedelta(hours=49)


def _cells(table: str) -> list[tuple[str, str, str]]:
    head, *lines = [[cell.strip() for cell in line.split("|")] for line in table.strip("\n").splitlines()]
    return [(answer, column, cell) for answer, *cells in lines for column, cell in zip(head[1:], cells, strict=True)]


@pytest.mark.parametrize(("answer", "state", "expected"), _cells(BEFORE_LAST_AGE))
def test_a_usable_answer_before_the_last_age_decides_as_the_table_says(
    scene: Scene, answer: str, state: str, expected: str
) -> None:
    assert scene.in_state(state).word(scene.answer_named(answer)) == expected


@pytest.mark.parametrize(("answer", "state", "expected"), _cells(AFTER_LAST_AGE))
def test_a_usable_answer_after_the_last_age_decides_as_the_table_says(
    scene: Scene, answer: str, state: str, expected: str
) -> None:
    late = scene.at_age(LATE).in_state(state)
    assert late.word(late.answer_named(answer)) == expected


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("answer", "when", "expected"), _cells(NOT_USABLE))
def test_an_answer_that_is_not_usable_decides_alike_whatever_the_order(
    scene: Scene, state: str, answer: str, when: str, expected: str
) -> None:
    scene = scene.in_state(state) if when == "before the last age" else scene.at_age(LATE).in_state(state)
    assert scene.word(scene.answer_named(answer), verified=False) == expected


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("answer", SIGNATURE_DUE)
def test_an_answer_without_its_signature_proves_nothing_whatever_the_order(
    scene: Scene, state: str, answer: str
) -> None:
    assert scene.in_state(state).word(scene.answer_named(answer), verified=False) == "soon"
    assert scene.at_age(LATE).in_state(state).word(scene.answer_named(answer), verified=False) == "unanswered/soon"


@pytest.mark.parametrize("state", STATES)
def test_an_unsigned_refusal_decides_as_a_signed_one(scene: Scene, state: str) -> None:
    for moment in (scene, scene.at_age(LATE)):
        there = moment.in_state(state)
        assert there.decide(there.answer_named("NotCreated"), verified=False) == there.decide(
            there.answer_named("NotCreated")
        )


@pytest.mark.parametrize("answer", ["Unavailable", "Throttled"])
def test_a_run_of_untrusted_answers_says_nothing_of_one_that_never_came(scene: Scene, answer: str) -> None:
    after_a_run = scene.with_history(untrusted_run=99)
    assert after_a_run.word(scene.answer_named(answer), verified=False) == "soon"


@pytest.mark.parametrize("answer", ["Untrusted", *SIGNATURE_DUE])
@pytest.mark.parametrize(("run", "expected"), [(4, "soon"), (5, "untrusted_answer/soon"), (6, "untrusted_answer/soon")])
def test_untrusted_answers_become_a_case_at_their_limit_and_are_asked_on(
    scene: Scene, answer: str, run: int, expected: str
) -> None:
    assert scene.with_history(untrusted_run=run).word(scene.answer_named(answer), verified=False) == expected


def test_an_untrusted_run_past_the_last_age_is_named_as_what_it_is_and_asked_about_once_a_day(scene: Scene) -> None:
    late = scene.at_age(LATE).with_history(untrusted_run=5)
    assert late.word(late.answer_named("Untrusted"), verified=False) == "untrusted_answer"
    decision = late.decide(late.answer_named("Untrusted"), verified=False)
    assert isinstance(decision, OpenCase)
    assert decision.pace is Pace.PROBE


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("Untrusted", "untrusted_answer"), ("Rejected", "unaskable"), ("Unrecognised", "unrecognised_state")],
)
def test_what_cannot_be_known_is_asked_about_no_more_once_a_person_has_looked_past_the_last_age(
    scene: Scene, answer: str, kind: str
) -> None:
    run = scene.with_history(untrusted_run=5)
    decision = run.decide(run.answer_named(answer), verified=False)
    assert isinstance(decision, OpenCase)
    assert decision.kind.value == kind
    answered = run.with_history(untrusted_run=5, resolved=frozenset({decision.digest(run.attempt.number)}))
    assert not answered.ends(run.answer_named(answer), verified=False), "its ages are not over"
    assert answered.at_age(LATE).ends(run.answer_named(answer), verified=False)
    assert not run.at_age(LATE).ends(run.answer_named(answer), verified=False)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("Unavailable", "connection reset"),
        ("Throttled", "3s"),
        ("Untrusted", "signature missing"),
        ("Rejected", "PARAM_ERROR"),
        ("Unrecognised", "ACCEPT"),
        ("Misconfigured", "isv.invalid-signature"),
    ],
)
def test_the_reason_that_the_gateway_gave_is_in_the_decision(scene: Scene, answer: str, words: str) -> None:
    assert words in scene.decide(scene.answer_named(answer), verified=False).why


def test_a_misconfigured_channel_is_paused_with_the_gateways_own_reason(scene: Scene) -> None:
    assert scene.decide(scene.answer_named("Misconfigured")) == PauseChannel("isv.invalid-signature")


@pytest.mark.parametrize(
    ("age", "expected"),
    [(timedelta(hours=48), "unanswered/soon"), (timedelta(hours=48) - timedelta(seconds=1), "soon")],
)
def test_no_usable_answer_is_a_case_from_the_last_age_on(scene: Scene, age: timedelta, expected: str) -> None:
    assert scene.at_age(age).word(scene.answer_named("Unavailable"), verified=False) == expected


@pytest.mark.parametrize("state", ["pending", "closed"])
def test_the_watch_of_a_channel_in_doubt_does_not_end_on_an_unknown_number(scene: Scene, state: str) -> None:
    late = scene.at_age(LATE).in_state(state).with_history(channel_in_doubt=True)
    assert late.word(late.answer_named("NotCreated")) == "probe"
    assert late.word(late.answer_named("Unpaid")) == "Stop"


@pytest.mark.parametrize(("state", "pace"), [("pending", "again"), ("closed", "later")])
def test_a_channel_in_doubt_is_asked_at_its_usual_ages_before_the_last(scene: Scene, state: str, pace: str) -> None:
    doubted = scene.in_state(state).with_history(channel_in_doubt=True)
    assert doubted.word(doubted.answer_named("NotCreated")) == pace
