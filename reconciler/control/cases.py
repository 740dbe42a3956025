"""Cases at the operator's door: what a person asks for, read from a request and carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from reconciler.control import NOTE_LENGTH_MAX
from reconciler.control.answer import case_answer
from reconciler.flow.handle import Desk, Handled
from reconciler.ops.control import CommandRefused
from reconciler.ports import Approve, CaseAct, CaseId, Reopen, Resolve, Snooze
from reconciler.wiring import Assembly


async def handle_case(assembly: Assembly, arguments: Mapping[str, object]) -> dict[str, object]:
    """Carry out one act on one case. Raises CommandRefused for arguments that are none, and PortError.

    `act` is approve, resolve, reopen or snooze; `case` its number; `shown` the digest of what the person saw; `note`
    and `final`, or `until`, as the act needs them; `by` says who.
    """
    act = _act(arguments)
    desk = Desk(assembly.rounds.context, assembly.inquiry)
    return plain(act.case, await (desk.approve(act) if isinstance(act, Approve) else desk.act(act)))


def _act(arguments: Mapping[str, object]) -> CaseAct:
    number, by, shown = arguments.get("case"), str(arguments.get("by", "")), str(arguments.get("shown", ""))
    if not isinstance(number, int) or isinstance(number, bool) or not by:
        raise CommandRefused("cases needs a case's number, and who asks")
    case = CaseId(number)
    match arguments.get("act"):
        case "approve":
            return Approve(case, by, shown)
        case "resolve":
            return Resolve(case, by, _note(arguments), arguments.get("final") is True, shown)
        case "reopen":
            return Reopen(case, by)
        case "snooze":
            return Snooze(case, by, _until(arguments))
        case other:
            raise CommandRefused(f"nothing to do with a case is called {str(other)[:80]!r}")


def _note(arguments: Mapping[str, object]) -> str:
    note = str(arguments.get("note", "")).strip()
    if not 0 < len(note) <= NOTE_LENGTH_MAX:
        raise CommandRefused(f"a case is resolved with a note of at most {NOTE_LENGTH_MAX} characters")
    return note


def _until(arguments: Mapping[str, object]) -> datetime:
    try:
        until = datetime.fromisoformat(str(arguments.get("until", "")))
    except ValueError:
        until = None
    if until is None or until.tzinfo is None:
        raise CommandRefused("a case is snoozed until a time with an offset")
    return until


def plain(number: CaseId, handled: Handled) -> dict[str, object]:
    """Give what became of it."""
    finding = asdict(handled.finding) if handled.finding else None
    return case_answer(number, handled.case, handled.why, done=handled.done, finding=finding)
