"""Cases in the ledger's double: opened, repeated, kept silent, ended, and what a person does with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from reconciler.domain.case import CaseKind, digest_of
from reconciler.ports import (
    Acted,
    Approve,
    Case,
    CaseAct,
    CaseId,
    CaseOutcome,
    CaseReport,
    EndCases,
    Entry,
    OpenCases,
    Reopen,
    Reported,
    Resolve,
    Snooze,
)
from reconciler.testing import ledger_telling
from reconciler.testing.shelf import Contents

Append = Callable[[Entry], None]
"""Chains one entry."""


def opened(contents: Contents) -> dict[CaseKind, OpenCases]:
    """Count the open cases by kind."""
    moments: dict[CaseKind, list[datetime]] = {}
    for case in contents.cases.values():
        if not case.ended_at:
            moments.setdefault(case.kind, []).append(case.opened_at)
    return {kind: OpenCases(len(opened_at), min(opened_at)) for kind, opened_at in moments.items()}


def report(contents: Contents, item: CaseReport, now: datetime, append: Append) -> CaseOutcome:
    """Open a case, repeat the open one, or keep silent."""
    digest = digest_of(item.kind, item.facts, item.number)
    same = [case for case in contents.cases_about(item.order_key) if case.kind == item.kind]
    found = next((case for case in same if not case.ended_at), None)
    is_silent = found is None or not (item.only_new or found.digest == digest)
    for case in reversed(same):
        if is_silent and contents.resolved.get(case.id) == digest:
            return CaseOutcome(Reported.SILENT, case.id)
    if found is not None:
        if not item.only_new:
            _repeat(contents, found, item, now, append)
        return CaseOutcome(Reported.REPEATED, found.id)
    opened = Case(
        CaseId(len(contents.cases) + 1),
        item.kind,
        item.order_key,
        item.order_no,
        item.channel,
        item.out_trade_no,
        item.why,
        item.facts,
        now,
        digest=digest,
        amount=item.amount,
    )
    contents.add_case(opened)
    ledger_telling.opened(contents, opened.id)
    append(_reported("case_opened", opened.id, item))
    return CaseOutcome(Reported.OPENED, opened.id)


def end(contents: Contents, item: EndCases, now: datetime, append: Append) -> None:
    """End an order's open cases."""
    for case in contents.cases_about(item.order_key):
        about_it = item.is_about(case.kind) and (not item.out_trade_no or case.out_trade_no in {"", item.out_trade_no})
        if about_it and not case.ended_at:
            contents.cases[case.id] = replace(case, ended_at=now, ending=item.ending, approved=False)
            ledger_telling.ended(contents, case.id)
            append(_told("case_ended", case, {"ending": item.ending}))


def handle(contents: Contents, act: CaseAct, now: datetime, append: Append) -> Acted:
    """Do what a person does with a case."""
    case = contents.cases.get(act.case)
    if case is None:
        return Acted.UNKNOWN
    refusal = _refusal(contents, case, act)
    if refusal is None:
        _write(contents, case, act, now, append)
    return refusal or Acted.DONE


def _refusal(contents: Contents, case: Case, act: CaseAct) -> Acted | None:
    ended = case.ended_at is not None
    match act:
        case Resolve(final=final) if ended:
            if case.id not in contents.resolved:
                return Acted.ENDED
            return Acted.ALREADY if case.final or not final else None
        case Reopen() if ended:
            rivals = [
                other
                for other in contents.cases_about(case.order_key)
                if other.kind == case.kind and not other.ended_at
            ]
            return Acted.RIVAL if rivals else None
        case Reopen():
            return Acted.ALREADY if case.snoozed_until is None else None
        case Approve() | Snooze() if ended:
            return Acted.ENDED
        case Approve(shown=shown) | Resolve(shown=shown):
            return Acted.CHANGED if shown not in {"", case.digest} else None
        case Snooze(until=until):
            return Acted.ALREADY if case.snoozed_until == until else None
        case _:
            assert_never(act)


def _write(contents: Contents, case: Case, act: CaseAct, now: datetime, append: Append) -> None:
    match act:
        case Approve(by=by):
            changed, told = replace(case, approved=True), _told("case_approved", case, {"by": by})
        case Resolve(by=by, note=note, final=final):
            ending = f"resolved by {by}: {note}"
            changed = replace(case, ended_at=case.ended_at or now, ending=ending, final=final, approved=False)
            changed = replace(changed, snoozed_until=None)
            contents.resolved[case.id] = case.digest
            if not case.ended_at:
                ledger_telling.ended(contents, case.id)
            told = _told("case_resolved", case, {"by": by, "note": note, "final": final})
        case Reopen(by=by):
            changed = replace(case, ended_at=None, ending="", final=False, snoozed_until=None, approved=False)
            contents.resolved.pop(case.id, None)
            if case.ended_at:
                ledger_telling.opened(contents, case.id)
            else:
                ledger_telling.woken(contents, case.id, now)
            told = _told("case_reopened", case, {"by": by})
        case Snooze(by=by, until=until):
            changed = replace(case, snoozed_until=until)
            ledger_telling.put_off(contents, case.id, until)
            told = _told("case_snoozed", case, {"by": by, "until": until.isoformat()})
        case _:
            assert_never(act)
    contents.cases[case.id] = changed
    append(told)


def _is_anothers(contents: Contents, case: Case, item: CaseReport) -> bool:
    """Whether the case is about another attempt, which still asks the same."""
    if item.number == (case.channel or "", case.out_trade_no):
        return False
    watched = (each.watch for each in contents.watched(case.order_key))
    return any(
        watch.attempt.number == (case.channel, case.out_trade_no)
        and watch.ended_at is None
        and watch.last_decision == item.kind.value
        for watch in watched
    )


def _repeat(contents: Contents, case: Case, item: CaseReport, now: datetime, append: Append) -> None:
    repeated = replace(case, repeated=case.repeated + 1)
    digest = digest_of(item.kind, item.facts, item.number)
    if case.digest != digest and not (item.is_repeated and _is_anothers(contents, case, item)):
        repeated = replace(
            repeated, why=item.why, facts=item.facts, channel=item.channel, out_trade_no=item.out_trade_no
        )
        repeated = replace(repeated, digest=digest, approved=False, snoozed_until=None)
        ledger_telling.woken(contents, case.id, now)
        append(_reported("case_repeated", case.id, item))
    contents.cases[case.id] = repeated


def _reported(kind: str, case: CaseId, item: CaseReport) -> Entry:
    body = {"case": case, "case_kind": item.kind.value, "why": item.why, "facts": [str(fact) for fact in item.facts]}
    return Entry(kind, item.order_key, item.order_no, item.channel, item.out_trade_no, body, item.evidence, item.key)


def _told(kind: str, case: Case, body: dict[str, object]) -> Entry:
    told = {"case": case.id, "case_kind": case.kind.value, **body}
    return Entry(kind, case.order_key, case.order_no, case.channel, case.out_trade_no, told)
