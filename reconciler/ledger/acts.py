"""What a person does with a case: approved, resolved, opened again, put off. Each act is an entry, with who and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, assert_never

from sqlalchemy import Row, select, update

from reconciler.domain.order import ChannelName, OrderKey
from reconciler.ledger import untold
from reconciler.ledger.cases import OPEN
from reconciler.ledger.pen import Page
from reconciler.ledger.tables import cases
from reconciler.ledger.values import clean, to_us
from reconciler.ports import Acted, Approve, CaseAct, Entry, Reopen, Resolve, Snooze

_Found = Row[Any]


async def handle(page: Page, acts: Sequence[CaseAct], now: datetime) -> list[Acted]:
    """Do each act, in order; one outcome each."""
    return [await _handle(page, act, now) for act in acts]


async def _handle(page: Page, act: CaseAct, now: datetime) -> Acted:
    row = (await page.connection.execute(select(cases).where(cases.c.id == act.case))).first()
    if row is None:
        return Acted.UNKNOWN
    match act:
        case Approve():
            return await _approve(page, row, act, now)
        case Resolve():
            return await _resolve(page, row, act, now)
        case Reopen():
            return await _reopen(page, row, act, now)
        case Snooze():
            return await _snooze(page, row, act, now)
        case _:
            assert_never(act)


async def _approve(page: Page, row: _Found, act: Approve, now: datetime) -> Acted:
    if row.open != OPEN:
        return Acted.ENDED
    if act.shown not in {"", row.facts_digest}:
        return Acted.CHANGED
    return await _write(page, row, "case_approved", {"by": act.by}, {"approved_digest": row.facts_digest}, now)


async def _resolve(page: Page, row: _Found, act: Resolve, now: datetime) -> Acted:
    if row.open != OPEN:
        if row.resolved_digest is None:
            return Acted.ENDED
        if row.final or not act.final:
            return Acted.ALREADY
    elif act.shown not in {"", row.facts_digest}:
        return Acted.CHANGED
    body = {"by": act.by, "note": clean(act.note), "final": act.final}
    values = {
        "open": None,
        "ended_at": row.ended_at if row.ended_at is not None else to_us(now),
        "ending": clean(f"resolved by {act.by}: {act.note}"),
        "final": act.final,
        "resolved_digest": row.facts_digest,
        "approved_digest": None,
        "snoozed_until": None,
        **(untold.ended(row.told_at, page.next_number) if row.open == OPEN else {}),
    }
    return await _write(page, row, "case_resolved", body, values, now)


async def _reopen(page: Page, row: _Found, act: Reopen, now: datetime) -> Acted:
    if row.open == OPEN and row.snoozed_until is None:
        return Acted.ALREADY
    if row.open != OPEN:
        same = (cases.c.order_key == row.order_key, cases.c.kind == row.kind, cases.c.open == OPEN)
        if (await page.connection.execute(select(cases.c.id).where(*same))).first() is not None:
            return Acted.RIVAL
    values = {
        "open": OPEN,
        "ended_at": None,
        "ending": "",
        "final": False,
        "resolved_digest": None,
        "approved_digest": None,
        "snoozed_until": None,
    }
    if row.open == OPEN:
        values |= untold.woken(row.told_at, row.remind_at, now)
    else:
        values |= untold.opened(page.next_number)
    return await _write(page, row, "case_reopened", {"by": act.by}, values, now)


async def _snooze(page: Page, row: _Found, act: Snooze, now: datetime) -> Acted:
    if row.open != OPEN:
        return Acted.ENDED
    if row.snoozed_until == to_us(act.until):
        return Acted.ALREADY
    body = {"by": act.by, "until": act.until.isoformat()}
    values = {"snoozed_until": to_us(act.until), **untold.put_off(row.told_at, to_us(act.until))}
    return await _write(page, row, "case_snoozed", body, values, now)


async def _write(  # the row, and the entry that tells of it
    page: Page, row: _Found, kind: str, body: Mapping[str, object], values: Mapping[str, object], now: datetime
) -> Acted:
    await page.connection.execute(update(cases).where(cases.c.id == row.id).values(**values))
    channel = None if row.channel is None else ChannelName(row.channel)
    told = {"case": row.id, "case_kind": row.kind, **body}
    page.append(Entry(kind, OrderKey(row.order_key), row.order_no, channel, row.out_trade_no, told), now)
    return Acted.DONE
