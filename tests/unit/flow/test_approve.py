"""Approving a case: asked again, decided again, that very question waived, and moved once behind the same guard."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from reconciler.domain.answer import NotCreated, Refunded, Unavailable
from reconciler.domain.case import CaseKind
from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, OrderKey, OrderState
from reconciler.domain.policy import Policy
from reconciler.events.orders import CaseApproved, CaseEnded, CaseReopened, CaseResolved, OrderSettled
from reconciler.flow.handle import Desk, Handled
from reconciler.flow.inquiry import Inquiry
from reconciler.flow.rounds import Rounds
from reconciler.ports import Approve, Case, CaseId, LockLost, Reopen, Resolve, Snooze
from reconciler.testing.ledger import MemoryLedger
from tests.unit.flow.bench import ALIPAY, WECHAT, Bench
from tests.unit.flow.test_crash_everywhere import Crash, Fuse, Way, fused

BY = "li (uid 1000, pid 7)"
REVIEWED = Policy(review_over=Money(5000))


async def case_of(rounds: Rounds) -> Case:
    (case,) = await rounds.context.ledger.cases()
    return case


def desk(bench: Bench, rounds: Rounds) -> Desk:
    return Desk(rounds.context, bench.inquiry(rounds))


async def leading(bench: Bench) -> Rounds:
    """Make one pass, and stay in charge."""
    rounds = bench.process()
    assert await rounds.once()
    return rounds


async def approve(bench: Bench, rounds: Rounds, case: Case | None = None) -> Handled:
    case = case or await case_of(rounds)
    return await desk(bench, rounds).approve(Approve(case.id, BY, case.digest))


async def kinds(rounds: Rounds, number: str) -> list[str]:
    return [line.entry.kind for line in (await rounds.context.ledger.story(number)).entries]


@pytest.fixture(name="reviewed")
def reviewed_bench(bench: Bench) -> Bench:
    """Give a shop with one paid order that a person must look at first."""
    bench.policy = REVIEWED
    bench.order("1")
    bench.pay("N1")
    return bench


async def test_an_approved_review_is_settled_once_and_its_case_ends(reviewed: Bench) -> None:
    rounds = await leading(reviewed)
    handled = await approve(reviewed, rounds)
    assert handled.done
    assert handled.why == "ended: settled by T-N1"
    assert handled.finding
    assert [(fact.name, fact.agrees) for fact in handled.finding.facts if fact.name == "amount"] == [("amount", True)]
    assert reviewed.table.rows[OrderKey("1")].state is OrderState.PAID
    assert len(reviewed.said(OrderSettled)) == 1
    assert [event.by for event in reviewed.said(CaseApproved) if isinstance(event, CaseApproved)] == [BY]
    assert await kinds(rounds, "1") == [
        "case_opened", "case_approved", "settle_begun", "settled", "case_ended",
    ]  # fmt: skip


async def test_an_approved_late_payment_is_settled(bench: Bench) -> None:
    bench.order("1", state=OrderState.CLOSED)
    bench.pay("N1")
    rounds = await leading(bench)
    assert (await case_of(rounds)).kind is CaseKind.LATE_PAYMENT
    assert (await approve(bench, rounds)).done
    assert bench.table.rows[OrderKey("1")].state is OrderState.PAID


async def test_an_approved_refusal_is_settled_on_the_row_as_it_is_now(bench: Bench) -> None:
    bench.order("1")
    bench.pay("N1")
    shop = bench.shop()
    shop.refusal = "a trigger says no"
    rounds = bench.process(shop)
    assert await rounds.once()
    assert (await case_of(rounds)).kind is CaseKind.SETTLE_REFUSED
    shop.refusal = ""
    assert (await approve(bench, rounds)).done
    assert bench.table.rows[OrderKey("1")].state is OrderState.PAID


async def test_the_gateway_is_asked_again_and_what_it_says_now_counts(reviewed: Bench) -> None:
    rounds = await leading(reviewed)
    trade = reviewed.pay("N1")
    reviewed.gateway().will_answer("N1", Refunded(trade, in_full=True))
    asked = reviewed.gateway().asked["N1"]
    handled = await approve(reviewed, rounds)
    assert reviewed.gateway().asked["N1"] == asked + 1
    assert not handled.done
    assert "refunded" in handled.why
    assert reviewed.table.rows[OrderKey("1")].state is OrderState.PENDING


async def test_an_answer_that_says_nothing_moves_nothing(reviewed: Bench) -> None:
    rounds = await leading(reviewed)
    reviewed.gateway().will_answer("N1", Unavailable("timed out"))
    handled = await approve(reviewed, rounds)
    assert not handled.done
    assert "timed out; approve it again later" in handled.why
    assert reviewed.table.rows[OrderKey("1")].state is OrderState.PENDING
    reviewed.pay("N1")
    await reviewed.clock.advance(3600)
    await reviewed.once(rounds)
    assert reviewed.table.rows[OrderKey("1")].state is OrderState.PENDING, "an approval is not kept for later"


async def test_another_amount_than_was_shown_is_another_question(reviewed: Bench) -> None:
    rounds = await leading(reviewed)
    shown = await case_of(rounds)
    reviewed.pay("N1", flags=("credit_pay_mode",))
    handled = await approve(reviewed, rounds, shown)
    assert not handled.done
    assert reviewed.table.rows[OrderKey("1")].state is OrderState.PENDING
    assert (await case_of(rounds)).digest != shown.digest
    again = await approve(reviewed, rounds, shown)
    assert "facts have changed since they were shown" in again.why
    assert (await approve(reviewed, rounds)).done, "who has seen it all may wave it through"


async def test_two_questions_about_one_payment_are_approved_one_after_the_other(bench: Bench) -> None:
    bench.policy = REVIEWED
    bench.order("1", state=OrderState.CLOSED)
    bench.pay("N1")
    rounds = await leading(bench)
    late = await approve(bench, rounds)
    assert not late.done
    _, review = await rounds.context.ledger.cases()
    assert review.kind is CaseKind.NEEDS_REVIEW
    assert (await approve(bench, rounds, review)).done
    assert await rounds.context.ledger.cases() == []
    assert bench.table.rows[OrderKey("1")].state is OrderState.PAID


async def test_an_approval_is_for_the_payment_that_was_shown_not_for_another_attempts(reviewed: Bench) -> None:
    reviewed.channels = (ALIPAY, WECHAT)
    rounds = await leading(reviewed)
    shown = await case_of(rounds)
    created = reviewed.clock.now() - timedelta(minutes=5)
    reviewed.shop().put_attempt("1", Attempt(OrderKey("1"), "N1", WECHAT, "N1-2", created))
    reviewed.gateway().will_answer("N1", Unavailable("away"))
    await approve(reviewed, rounds, shown)
    reviewed.pay("N1-2", WECHAT)
    await reviewed.once(rounds)
    assert reviewed.table.rows[OrderKey("1")].state is OrderState.PENDING


async def test_what_was_seen_paid_before_and_waits_again_may_be_approved(bench: Bench) -> None:
    bench.order("1", transaction_id="T-N1", state=OrderState.PENDING)
    bench.pay("N1")
    bench.gateway().will_answer("N1", NotCreated())
    rounds = await leading(bench)
    bench.shop().change("1", state=OrderState.PAID)
    await bench.clock.advance(300)
    await bench.once(rounds)
    bench.shop().change("1", state=OrderState.PENDING)
    bench.pay("N1")
    rounds = await leading(bench)
    await bench.inquiry(rounds).ask("N1", act=True)
    assert "seen paid" in str((await case_of(rounds)).facts)
    assert (await approve(bench, rounds)).done


async def test_a_payment_that_moved_the_order_once_is_not_approved_into_moving_it_again(reviewed: Bench) -> None:
    rounds = await leading(reviewed)
    await approve(reviewed, rounds)
    reviewed.shop().change("1", state=OrderState.PENDING, transaction_id=None)
    await reviewed.inquiry(rounds).ask("N1", act=True)
    handled = await approve(reviewed, rounds)
    assert not handled.done
    assert "moved the order once" in handled.why
    assert len(reviewed.said(OrderSettled)) == 1


@pytest.mark.parametrize("kind", sorted(kind.value for kind in CaseKind if kind is not CaseKind.NEEDS_REVIEW))
async def test_kinds_that_are_no_questions_of_yes_or_no_are_refused_with_what_to_do(reviewed: Bench, kind: str) -> None:
    rounds = await leading(reviewed)
    case = await case_of(rounds)
    contents = reviewed.shelf.contents
    contents.cases[case.id] = case = _of_kind(case, CaseKind(kind))
    handled = await approve(reviewed, rounds, case)
    if kind in {"late_payment", "settle_refused"}:
        assert handled.finding
        return
    assert not handled.done
    assert "reconciler cases resolve" in handled.why
    assert "case_approved" not in await kinds(rounds, "1")


def _of_kind(case: Case, kind: CaseKind) -> Case:
    return Case(
        case.id, kind, case.order_key, case.order_no, case.channel, case.out_trade_no, "", case.facts, case.opened_at
    )


async def test_observing_nothing_is_approved(reviewed: Bench) -> None:
    reviewed.enforcing = False
    rounds = await leading(reviewed)
    asked = reviewed.gateway().asked.total()
    handled = await approve(reviewed, rounds)
    assert not handled.done
    assert "observe" in handled.why
    assert reviewed.gateway().asked.total() == asked
    assert "case_approved" not in await kinds(rounds, "1")


async def test_a_case_that_has_ended_or_never_was_is_not_approved(reviewed: Bench) -> None:
    rounds = await leading(reviewed)
    case = await case_of(rounds)
    await approve(reviewed, rounds, case)
    again = await approve(reviewed, rounds, case)
    assert (again.done, again.why) == (False, "it has ended already: settled by T-N1")
    none = await desk(reviewed, rounds).approve(Approve(CaseId(99), BY))
    assert (none.done, none.case, none.why) == (False, None, "there is no such case")


async def test_a_case_of_a_channel_that_is_gone_says_so(reviewed: Bench) -> None:
    rounds = await leading(reviewed)
    case = await case_of(rounds)
    handled = await Desk(rounds.context, Inquiry(rounds.context, ())).approve(Approve(case.id, BY))
    assert not handled.done
    assert "N1 at alipay-main is not known here any more" in handled.why


async def test_while_settling_is_stopped_nothing_is_approved(reviewed: Bench) -> None:
    rounds = await leading(reviewed)
    await rounds.context.brake.pause("wu")
    handled = await approve(reviewed, rounds)
    assert not handled.done
    assert "reconciler resume" in handled.why
    await rounds.context.brake.resume("wu")
    assert (await approve(reviewed, rounds)).done


async def test_two_people_at_once_move_the_order_once(reviewed: Bench) -> None:
    rounds = await leading(reviewed)
    case = await case_of(rounds)
    both = await asyncio.gather(approve(reviewed, rounds, case), approve(reviewed, rounds, case))
    assert any(handled.done for handled in both)
    assert len(reviewed.said(OrderSettled)) == 1
    assert (await kinds(rounds, "1")).count("settled") == 1


async def test_a_callback_that_wins_the_race_ends_the_case_too(reviewed: Bench) -> None:
    shop = reviewed.shop()
    rounds = reviewed.process(shop)
    assert await rounds.once()
    shop.before_settle = lambda _move: shop.change("1", state=OrderState.PAID, transaction_id="T-N1")
    handled = await approve(reviewed, rounds)
    assert handled.done, handled.why
    assert await rounds.context.ledger.cases() == []
    assert reviewed.said(OrderSettled) == []


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
async def test_a_crash_at_any_call_of_an_approval_moves_the_order_once(after: bool) -> None:
    blown: list[str] = []
    for at in range(1, 200):
        bench = Bench(policy=REVIEWED)
        bench.order("1")
        bench.pay("N1")
        rounds = await bench.once()
        case = await case_of(rounds)
        fuse = Fuse(10**6, after=after)
        moved: list[str] = []
        shop, ledger = fused(bench, fuse)
        shop.after_commit = lambda move, moved=moved: moved.append(move.out_trade_no)
        rounds = bench.process(shop, ledger)
        assert await rounds.take_charge(by_hand=True)
        for channel in rounds.channels:
            channel.gateway = Way(bench.gateway(), fuse)  # type: ignore[assignment] # as much of one as is asked of it
        fuse.calls, fuse.at = 0, at
        try:
            await approve(bench, rounds, case)
        except (Crash, BaseExceptionGroup, asyncio.CancelledError):
            blown.append(fuse.blew_at)
        bench.table.holder = None

        survivor = bench.shop()
        survivor.after_commit = lambda move, moved=moved: moved.append(move.out_trade_no)
        rounds = bench.process(survivor)
        assert await rounds.once()
        was_moved = list(moved)
        left = await rounds.context.ledger.cases()
        assert not await rounds.context.ledger.open_intentions()
        if left:
            assert was_moved == [], "an order that was moved has no question left"
            assert (await approve(bench, rounds)).done
        await bench.clock.advance(600)
        await bench.once(rounds)
        assert moved == ["N1"], f"crash {'after' if after else 'before'} call {at}"
        assert await rounds.context.ledger.cases() == []
        if not fuse.blown:
            break
    assert {"ask", "begin", "settle", "conclude"} <= set(blown)


async def test_a_settlement_begun_on_an_approval_goes_on_after_a_crash(reviewed: Bench) -> None:
    """The approval is as good after the crash as before it: nobody has to give it twice."""
    shop = reviewed.shop()
    rounds = reviewed.process(shop)
    assert await rounds.once()
    shop.fail("settle", LockLost("the connection broke"))
    with pytest.raises(LockLost):
        await approve(reviewed, rounds)
    assert await rounds.context.ledger.open_intentions()
    reviewed.table.holder = None
    rounds = await reviewed.once()
    assert reviewed.table.rows[OrderKey("1")].state is OrderState.PAID
    assert await rounds.context.ledger.cases() == []


# ------------------------------------------------------------------------------------------- resolve, reopen and snooze


async def test_a_resolved_case_stays_silent_and_the_order_where_it_is(reviewed: Bench) -> None:
    rounds = await leading(reviewed)
    case = await case_of(rounds)
    handled = await desk(reviewed, rounds).act(Resolve(case.id, BY, "refunded by hand", shown=case.digest))
    assert handled.done
    assert handled.case
    assert handled.case.ending == f"resolved by {BY}: refunded by hand"
    for _ in range(4):
        await reviewed.clock.advance(3600)
        await reviewed.once(rounds)
    assert await rounds.context.ledger.cases() == []
    assert len(reviewed.said(CaseResolved)) == 1
    assert reviewed.table.rows[OrderKey("1")].state is OrderState.PENDING


async def test_resolved_for_good_stays_silent_about_this_payment_and_is_not_moved_by_it(reviewed: Bench) -> None:
    rounds = await leading(reviewed)
    case = await case_of(rounds)
    await desk(reviewed, rounds).act(Resolve(case.id, BY, "fraud", final=True))
    await reviewed.clock.advance(3600)
    await reviewed.once(rounds)
    assert await rounds.context.ledger.cases() == [], "what was resolved for good is not asked at once again"
    reviewed.policy = Policy(review_over=Money(10**6))
    rounds = await leading(reviewed)
    await reviewed.inquiry(rounds).ask("N1", act=True)
    assert reviewed.table.rows[OrderKey("1")].state is OrderState.PENDING
    assert "resolved this order for good" in (await case_of(rounds)).why
    assert not (await approve(reviewed, rounds)).done, "an approval does not take back what was said for good"


async def test_a_reopened_case_is_asked_about_at_once_and_may_settle(reviewed: Bench) -> None:
    rounds = await leading(reviewed)
    case = await case_of(rounds)
    await desk(reviewed, rounds).act(Resolve(case.id, BY, "fraud", final=True))
    handled = await desk(reviewed, rounds).act(Reopen(case.id, BY))
    assert (handled.done, handled.why) == (True, "open again")
    assert len(reviewed.said(CaseReopened)) == 1
    rounds.context.policy = Policy()
    await reviewed.once(rounds)
    assert reviewed.table.rows[OrderKey("1")].state is OrderState.PAID
    assert len(reviewed.said(CaseEnded)) == 1


async def test_a_snooze_survives_a_restart(reviewed: Bench) -> None:
    rounds = await leading(reviewed)
    case = await case_of(rounds)
    until = reviewed.clock.now() + timedelta(hours=4)
    handled = await desk(reviewed, rounds).act(Snooze(case.id, BY, until))
    assert handled.done
    assert until.isoformat(timespec="seconds") in handled.why
    kept = await MemoryLedger(reviewed.shelf).case(case.id)
    assert kept
    assert kept.snoozed_until == until


@pytest.mark.parametrize("twice", [False, True])
async def test_an_act_on_what_is_so_already_says_so(reviewed: Bench, twice: bool) -> None:
    rounds = await leading(reviewed)
    case = await case_of(rounds)
    if not twice:
        handled = await desk(reviewed, rounds).act(Reopen(case.id, BY))
        assert (handled.done, handled.why) == (True, "it was so already")
        return
    await desk(reviewed, rounds).act(Resolve(case.id, BY, "refunded"))
    handled = await desk(reviewed, rounds).act(Resolve(case.id, "wu", "refunded too"))
    assert handled.done
    assert handled.why == f"it was resolved already: resolved by {BY}: refunded"
