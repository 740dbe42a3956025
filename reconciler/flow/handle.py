"""Handle: what a person does with a case. Approved, it is asked and decided again; resolved, it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from reconciler.domain.case import APPROVABLE
from reconciler.events import Event
from reconciler.events.orders import CaseApproved, CaseReopened, CaseResolved, CaseSnoozed
from reconciler.flow.context import Context
from reconciler.flow.inquiry import Finding, Inquiry
from reconciler.ports import Acted, Approve, Case, CaseAct, Reopen, Resolve, Snooze

APPROVABLE_IN_WORDS = ", ".join(sorted(kind.value for kind in APPROVABLE))


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of one act."""

    done: bool
    """Whether it is now as the person wanted it; of an approval, whether its case has ended by it."""
    case: Case | None
    """As it is now; None where there is no such case."""
    why: str
    """What happened, in a few words; where nothing was done, why not and what to do instead."""
    finding: Finding | None = None
    """What asking found, theirs and ours, where an approval was acted on."""


class Desk:
    """Where a person's acts are carried out: by the leader, one after another with everything else that is decided."""

    def __init__(self, context: Context, inquiry: Inquiry) -> None:
        self._context = context
        self._inquiry = inquiry

    async def approve(self, act: Approve) -> Handled:
        """Write the approval, ask the gateway again, decide again with this very question waived, and act on it.

        No blank cheque: what was not shown is not waived, every other rule holds, and the guard is the same. Raises
        PortError; what was begun by then is decided anew, under the same approval.
        """
        case = await self._context.ledger.case(act.case)
        if case is None or case.ended_at is not None:
            return _refused(Acted.UNKNOWN if case is None else Acted.ENDED, case, act)
        if obstacle := self._obstacle(case):
            return Handled(done=False, case=case, why=obstacle)
        handled = await self._write(act)
        if not handled.done:
            return handled
        finding = await self._inquiry.ask_approved(case)
        now = await self._context.ledger.case(act.case)
        if finding is None:
            where = f"{case.out_trade_no or 'its number'} at {case.channel or 'no channel'}"
            why = f"nobody can be asked about it: {where} is not known here any more"
            return Handled(done=False, case=now, why=why)
        if now is not None and now.ended_at is not None:
            return Handled(done=True, case=now, why=f"ended: {now.ending}", finding=finding)
        return Handled(done=False, case=now, why=f"still open: {_said(finding)}", finding=finding)

    async def act(self, act: Resolve | Reopen | Snooze) -> Handled:
        """Resolve, reopen or snooze one case. Raises PortError."""
        handled = await self._write(act)
        if isinstance(act, Reopen) and handled.done and handled.case is not None:
            await self._context.ledger.wake([handled.case.order_key], self._context.clock.now())
        return handled

    def _obstacle(self, case: Case) -> str:
        """Say why a case cannot be approved, and what to do instead; empty where it can."""
        if case.kind not in APPROVABLE:
            return (
                f"{case.kind.value} cannot be approved, only {APPROVABLE_IN_WORDS} can. Put it right in the shop or at "
                f"the gateway, then `reconciler cases resolve {case.id} --note …`"
            )
        if not self._context.enforcing:
            return "in mode observe nothing is settled, and so nothing is approved"
        if self._context.brake.stopped is not None:
            return f"settling is stopped: {self._context.brake.stopped}; `reconciler resume --settling` comes first"
        return ""

    async def _write(self, act: CaseAct) -> Handled:
        async with self._context.applying:
            (acted,) = await self._context.ledger.handle([act], self._context.clock.now())
            case = await self._context.ledger.case(act.case)
        if acted is not Acted.DONE or case is None:
            return _refused(acted, case, act)
        self._context.events.emit(_event(act, case))
        return Handled(done=True, case=case, why=_done(act))


def _said(finding: Finding) -> str:
    return finding.outcome or f"{finding.answer}: {finding.reason or finding.why}; approve it again later"


def _event(act: CaseAct, case: Case) -> Event:
    match act:
        case Approve():
            return CaseApproved(case_id=case.id, kind=case.kind.value, order_no=case.order_no, by=act.by)
        case Resolve():
            return CaseResolved(
                case_id=case.id, kind=case.kind.value, order_no=case.order_no, final=act.final, by=act.by
            )
        case Reopen():
            return CaseReopened(case_id=case.id, kind=case.kind.value, order_no=case.order_no, by=act.by)
        case Snooze():
            return CaseSnoozed(
                case_id=case.id, kind=case.kind.value, order_no=case.order_no, until=act.until, by=act.by
            )
        case _:
            assert_never(act)


def _done(act: CaseAct) -> str:
    match act:
        case Approve():
            return "approved"
        case Resolve(final=final):
            return "resolved; the order is not moved any more" if final else "resolved"
        case Reopen():
            return "open again"
        case Snooze(until=until):
            return f"put off until {until.isoformat(timespec='seconds')}"
        case _:
            assert_never(act)


def _refused(acted: Acted, case: Case | None, act: CaseAct) -> Handled:
    """Say why nothing was done."""
    ending = case.ending if case is not None else ""
    match acted:
        case Acted.UNKNOWN:
            why = "there is no such case"
        case Acted.ENDED:
            why = f"it has ended already: {ending}"
        case Acted.ALREADY:
            why = f"it was {'resolved' if isinstance(act, Resolve) else 'so'} already{f': {ending}' if ending else ''}"
        case Acted.CHANGED:
            why = "its facts have changed since they were shown; look at it again"
        case Acted.RIVAL:
            why = "the order has another open case of this kind: that one is the question now"
        case Acted.DONE:
            why = "done"
        case _:
            assert_never(acted)
    return Handled(done=acted in {Acted.DONE, Acted.ALREADY}, case=case, why=why)
