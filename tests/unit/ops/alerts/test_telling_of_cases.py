"""Cases and who is told of them, in virtual time, on the ledger's double."""

from __future__ import annotations

from datetime import timedelta

from reconciler.domain.case import CaseKind
from reconciler.events import Severity
from reconciler.events.telling import AlertsDelivered, AlertsUndelivered
from reconciler.ops.alerts.case_teller import CaseTeller
from reconciler.ops.alerts.post import TELL_WITHIN_S, Route
from reconciler.ops.alerts.tempo import APART_S
from reconciler.ports import EXAMPLES, Resolve, Snooze
from reconciler.testing.ledger import MemoryLedger
from tests.unit.ops.alerts.desk import VOICE, Desk

BY = "li (uid 1000, pid 7)"
SOON_S = 20.0
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


async def test_one_case_is_one_message_with_its_facts_its_command_and_its_section(desk: Desk) -> None:
    async with desk.telling_of_cases():
        await desk.open("9")
        await desk.clock.advance(SOON_S)
        assert desk.titles == ["case 1: amount_mismatch, order A9, CNY 99.00 [shop.db orders on host]"]
        (body,) = desk.bodies
        assert body.splitlines() == [
            body.splitlines()[0],
            "order A9, channel alipay-main, amount CNY 99.00",
            "why: amounts differ",
            "amount: theirs 98.00 ≠ ours 99.00",
            "Look: reconciler cases show 1",
            "What to do: docs/how-to/handle-a-case.md#amount_mismatch",
        ]
        assert await desk.ledger.untold() == 0
        await desk.clock.advance(2 * APART_S)
        await desk.later(DAY / 2)
        assert len(desk.bodies) == 1, "announced once"


async def test_a_storm_of_cases_is_one_message_with_its_number_its_sum_and_five_examples(desk: Desk) -> None:
    number = 1000
    async with desk.telling_of_cases():
        await storm(desk, number)
        await desk.clock.advance(SOON_S)
        assert len(desk.bodies) == 1
        assert desk.titles[0].startswith(f"{number} new cases [")
        (message,) = desk.target.messages
        assert message.severity is Severity.WARNING
        assert f"{number} new cases: {number - 100} amount_mismatch, 100 late_payment" in message.body
        assert f"Their orders amount to CNY {number * 99}.00." in message.body
        assert len([line for line in message.body.splitlines() if line.startswith("- ")]) == EXAMPLES
        assert "Look: reconciler cases list" in message.body
        assert len(message.title.encode()) + len(message.body.encode()) < 2000
        await desk.clock.advance(2 * APART_S)
        assert len(desk.bodies) == 1
        assert await desk.ledger.untold() == 0


async def storm(desk: Desk, number: int) -> None:
    await desk.open(*[f"K{place}" for place in range(number - 100)])
    await desk.open(*[f"L{place}" for place in range(100)], kind=CaseKind.LATE_PAYMENT)


async def test_while_it_keeps_raining_there_is_one_message_in_some_minutes(desk: Desk) -> None:
    async with desk.telling_of_cases():
        for number in range(60):
            await desk.open(str(number))
            await desk.clock.advance(30)
        rained_s = 60 * 30
        assert 2 <= len(desk.bodies) <= rained_s / APART_S + 1
        await desk.clock.advance(APART_S)
        assert await desk.ledger.untold() == 0


async def test_a_crash_between_opening_and_telling_tells_again_rather_than_never(desk: Desk) -> None:
    await desk.open("1")
    desk.ledger = MemoryLedger(desk.shelf)
    await desk.ledger.lead("the next process", desk.clock.now())
    async with desk.telling_of_cases():
        await desk.clock.advance(SOON_S)
        assert len(desk.bodies) == 1


async def test_a_case_is_told_only_when_a_target_took_it_and_tried_again_without_end(desk: Desk) -> None:
    desk.target.why = "it answered 500"
    async with desk.telling_of_cases():
        await desk.open("1")
        await desk.clock.advance(7200)
        assert await desk.ledger.untold() == 1
        (failed,) = desk.events.of(AlertsUndelivered)
        assert (failed.target, failed.why) == (desk.target.name, "it answered 500")
        assert 14 < desk.target.tries < 20, "at most ten minutes apart, and never given up"
        desk.target.why = None
        await desk.open("2")
        await desk.clock.advance(610)
        assert desk.titles == ["2 new cases [shop.db orders on host]"], "told as things are by now"
        assert await desk.ledger.untold() == 0
        assert len(desk.events.of(AlertsDelivered)) == len(desk.events.of(AlertsUndelivered)) == 1


async def test_a_target_that_hangs_holds_up_neither_the_others_nor_the_telling(desk: Desk) -> None:
    desk.target.hangs = True
    async with desk.telling_of_cases(Route("alerts.targets", (desk.target, desk.other))) as post:
        await desk.open("1")
        await desk.clock.advance(SOON_S)
        assert len(desk.other.messages) == 1
        assert await desk.ledger.untold() == 0, "told, since one took it"
        await desk.clock.advance(TELL_WITHIN_S)
        assert [event.why for event in desk.events.of(AlertsUndelivered)] == ["no answer within 30 s"]
        desk.target.hangs = False
        await desk.clock.advance(60)
        await post.retry()
        assert len(desk.target.messages) == 1, "what it missed is kept for it"


async def test_a_standby_tells_of_no_case(desk: Desk) -> None:
    desk.leads = False
    async with desk.telling_of_cases():
        await desk.open("1")
        await desk.clock.advance(2 * APART_S)
        assert desk.bodies == []
        desk.leads = True
        await desk.clock.advance(SOON_S)
        assert len(desk.bodies) == 1


async def test_who_was_overtaken_tells_of_no_case(desk: Desk) -> None:
    await desk.open("1")
    rival = MemoryLedger(desk.shelf)
    await rival.lead("rival", desk.clock.now())
    async with desk.telling_of_cases():
        await desk.clock.advance(SOON_S)
        told = len(desk.bodies)
        await desk.clock.advance(2 * APART_S)
        assert told <= 1
        assert len(desk.bodies) == told, "once it has found out"
        assert await rival.untold() == 1, "the rival tells of it"


async def test_a_ledger_that_is_away_is_waited_for(desk: Desk) -> None:
    async with desk.telling_of_cases():
        await desk.open("1")
        desk.shelf.unavailable = "disk full"
        await desk.clock.advance(SOON_S)
        assert desk.bodies == []
        desk.shelf.unavailable = None
        await desk.clock.advance(SOON_S)
        assert len(desk.bodies) == 1


async def test_an_open_case_is_reminded_of_once_a_day_in_one_message(desk: Desk) -> None:
    async with desk.telling_of_cases():
        await desk.open("1", "2")
        await desk.clock.advance(APART_S)
        await desk.later(DAY - timedelta(seconds=APART_S + 60))
        assert len(desk.bodies) == 1
        await desk.clock.advance(90)
        assert desk.titles[1:] == ["2 cases still open [shop.db orders on host]"]
        assert "2 cases still open: 2 amount_mismatch" in desk.bodies[1]
        for days in range(3):
            await desk.clock.advance(APART_S)
            await desk.later(DAY)
            assert len(desk.bodies) == 3 + days


async def test_nobody_is_reminded_of_a_snoozed_case_before_its_time(desk: Desk) -> None:
    async with desk.telling_of_cases():
        (case,) = await desk.open("1")
        await desk.clock.advance(APART_S)
        until = desk.clock.now() + timedelta(days=3)
        await desk.ledger.handle([Snooze(case, BY, until)], desk.clock.now())
        await desk.later(2 * DAY)
        await desk.later(DAY - timedelta(seconds=100))
        assert len(desk.bodies) == 1
        await desk.clock.advance(100)
        assert desk.titles[1].startswith("case 1 still open: ")


async def test_the_end_of_a_case_is_told_too_and_good_news(desk: Desk) -> None:
    async with desk.telling_of_cases():
        settled, resolved = await desk.open("1", "2")
        await desk.clock.advance(SOON_S + APART_S)
        await desk.end("1")
        await desk.clock.advance(SOON_S + APART_S)
        assert desk.titles[1] == f"case {settled} ended: amount_mismatch, order A1, CNY 99.00 [shop.db orders on host]"
        assert desk.bodies[1] == f"Case {settled}, amount_mismatch of order A1, has ended: settled by T1"
        assert desk.target.messages[1].severity is Severity.NOTICE
        await desk.ledger.handle([Resolve(resolved, BY, "refunded; the word is swordfish")], desk.clock.now())
        await desk.clock.advance(SOON_S + APART_S)
        assert desk.bodies[2].endswith(f"resolved by {BY}: refunded; the word is ***")
        await desk.clock.advance(APART_S)
        await desk.later(2 * DAY)
        assert len(desk.bodies) == 3, "neither is reminded of"


async def test_what_ended_before_anybody_was_told_is_no_news(desk: Desk) -> None:
    desk.target.why = "away"
    async with desk.telling_of_cases():
        await desk.open("1")
        await desk.clock.advance(SOON_S)
        await desk.end("1")
        desk.target.why = None
        await desk.clock.advance(2 * APART_S)
        await desk.later(2 * DAY)
        assert desk.bodies == []


async def test_opened_ended_and_still_open_share_one_message_that_fits_a_group_robot(desk: Desk) -> None:
    async with desk.telling_of_cases():
        await desk.open(*[str(number) for number in range(40)])
        await desk.clock.advance(APART_S + SOON_S)
        await desk.end(*[str(number) for number in range(10)])
        await desk.open(*[f"x{number}" for number in range(10)])
        await desk.later(DAY)
        assert desk.titles[1:] == ["10 new cases; 30 cases still open; 10 cases ended [shop.db orders on host]"]
        for words in ("10 new cases: ", "30 cases still open: ", "10 cases ended: ", "settled by T1"):
            assert words in desk.bodies[1]
        assert all(len((message.title + message.body).encode()) < 2000 for message in desk.target.messages)


async def test_a_route_is_told_of_its_kinds_and_both_count(desk: Desk) -> None:
    main = Route("alerts.targets", (desk.target,))
    also = Route("alerts.also", (desk.other,), None, frozenset({CaseKind.LATE_PAYMENT}))
    async with desk.telling_of_cases(main, also):
        await desk.open("1")
        await desk.open("2", kind=CaseKind.LATE_PAYMENT)
        await desk.clock.advance(SOON_S)
        assert desk.titles == ["2 new cases [shop.db orders on host]"]
        assert [message.title for message in desk.other.messages] == [
            "case 2: late_payment, order A2, CNY 99.00 [shop.db orders on host]"
        ]
        desk.target.why = "away"
        await desk.clock.advance(APART_S)
        await desk.open("3")
        await desk.open("4", kind=CaseKind.LATE_PAYMENT)
        await desk.clock.advance(APART_S)
        assert await desk.ledger.untold() == 1, "the one whose kind the other route is told of counts as told"


async def test_without_targets_nothing_is_looked_up_and_nothing_counts_as_told(desk: Desk) -> None:
    teller = CaseTeller(desk.ledger, desk.post(Route("alerts.targets", ())), VOICE, desk.clock)
    await teller.keep(lambda: True)
    await desk.open("1")
    assert await teller.turn(at_once=True) == 0
    assert await desk.ledger.untold() == 1
