"""Cases: opened, repeated, kept silent, ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.case import CaseKind, Fact, digest_of
from reconciler.domain.order import ChannelName, OrderKey
from reconciler.ledger import untold
from reconciler.ledger.pen import Page
from reconciler.ledger.tables import cases, watches
from reconciler.ledger.values import canonical, chunks, clean, from_us, from_us_or_none, money_or_none, to_us
from reconciler.ports import Case, CaseId, CaseOutcome, CaseReport, EndCases, Entry, OpenCases, Reported

OPEN = 1

_Found = Row[Any]
_UNSEEN = {"approved_digest": None, "snoozed_until": None}
"""What a person said of other facts does not hold for new ones."""


async def report(page: Page, item: CaseReport, now: datetime) -> CaseOutcome:
    """Open a case, or repeat the open one; facts that a person has resolved once stay silent."""
    digest = digest_of(item.kind, item.facts, item.number)
    same = (cases.c.order_key == item.order_key, cases.c.kind == item.kind.value)
    found = (await page.connection.execute(select(cases).where(*same, cases.c.open == OPEN))).first()
    if found is not None and (item.only_new or found.facts_digest == digest):
        if not item.only_new:
            await _repeat(page, found, item, digest, now)
        return CaseOutcome(Reported.REPEATED, CaseId(found.id))
    resolved = select(cases.c.id).where(*same, cases.c.resolved_digest == digest).order_by(cases.c.id.desc()).limit(1)
    silent = (await page.connection.execute(resolved)).scalar()
    if silent is not None:
        return CaseOutcome(Reported.SILENT, CaseId(silent))
    if found is not None:
        await _repeat(page, found, item, digest, now)
        return CaseOutcome(Reported.REPEATED, CaseId(found.id))
    return CaseOutcome(Reported.OPENED, await _open(page, item, digest, now))


async def end(page: Page, ends: Sequence[EndCases], now: datetime) -> None:
    """End the open cases of these orders (about the number, where one is named), with an entry each."""
    endings = {item.order_key: item for item in ends}
    for keys in chunks(sorted(endings)):
        rows = await page.connection.execute(
            select(cases).where(cases.c.order_key.in_(keys), cases.c.open == OPEN).order_by(cases.c.id)
        )
        for row in rows.all():
            item = endings[row.order_key]
            if item.out_trade_no and row.out_trade_no not in {"", item.out_trade_no}:
                continue
            if not item.is_about(CaseKind(row.kind)):
                continue
            ending = clean(item.ending)
            news = untold.ended(row.told_at, page.next_number)
            await page.connection.execute(
                update(cases).where(cases.c.id == row.id).values(open=None, ended_at=to_us(now), ending=ending, **news)
            )
            page.append(_entry("case_ended", row, {"case": row.id, "case_kind": row.kind, "ending": ending}), now)


async def listed(
    connection: AsyncConnection, limit: int, *, with_ended: bool, kind: CaseKind | None, after: CaseId
) -> list[Case]:
    """List cases, oldest first."""
    query = select(cases).where(cases.c.id > after).order_by(cases.c.id).limit(limit)
    if not with_ended:
        query = query.where(cases.c.open == OPEN)
    if kind is not None:
        query = query.where(cases.c.kind == kind.value)
    return [read(row) for row in await connection.execute(query)]


async def opened(connection: AsyncConnection) -> dict[CaseKind, OpenCases]:
    """Count the open ones by kind."""
    columns = (cases.c.kind, func.count().label("number"), func.min(cases.c.opened_at).label("oldest"))
    rows = await connection.execute(select(*columns).where(cases.c.open == OPEN).group_by(cases.c.kind))
    return {CaseKind(row.kind): OpenCases(row.number, from_us(row.oldest)) for row in rows}


async def of_orders(connection: AsyncConnection, order_keys: Sequence[OrderKey]) -> list[Case]:
    """Give every case of these orders, oldest first."""
    found: list[Case] = []
    for keys in chunks(order_keys):
        rows = await connection.execute(select(cases).where(cases.c.order_key.in_(keys)))
        found += [read(row) for row in rows]
    return sorted(found, key=lambda case: case.id)


async def one(connection: AsyncConnection, case: CaseId) -> Case | None:
    """Give one case."""
    row = (await connection.execute(select(cases).where(cases.c.id == case))).first()
    return None if row is None else read(row)


def read(row: _Found) -> Case:
    """Make a case of its row."""
    return Case(
        id=CaseId(row.id),
        kind=CaseKind(row.kind),
        order_key=OrderKey(row.order_key),
        order_no=row.order_no,
        channel=None if row.channel is None else ChannelName(row.channel),
        out_trade_no=row.out_trade_no,
        why=row.why,
        facts=tuple(Fact(name, theirs, ours, agrees) for name, theirs, ours, agrees in json.loads(row.facts)),
        opened_at=from_us(row.opened_at),
        repeated=row.repeated,
        ended_at=from_us_or_none(row.ended_at),
        ending=row.ending,
        final=row.final,
        snoozed_until=from_us_or_none(row.snoozed_until),
        digest=row.facts_digest,
        amount=money_or_none(row.amount_fen, row.currency),
        approved=row.open == OPEN and row.approved_digest == row.facts_digest,
    )


async def _open(page: Page, item: CaseReport, digest: str, now: datetime) -> CaseId:
    result = await page.connection.execute(
        insert(cases).values(
            kind=item.kind.value,
            order_key=item.order_key,
            order_no=clean(item.order_no),
            opened_at=to_us(now),
            repeated=0,
            ending="",
            final=False,
            open=OPEN,
            amount_fen=item.amount.fen if item.amount else None,
            currency=item.amount.currency if item.amount else None,
            **_question(item, digest),
            **untold.opened(page.next_number),
        )
    )
    case = CaseId(result.inserted_primary_key[0])  # type: ignore[index] # one row was inserted: there is a key
    page.append(_reported("case_opened", case, item), now)
    return case


async def _repeat(page: Page, found: _Found, item: CaseReport, digest: str, now: datetime) -> None:
    """Count it; where the facts have changed, keep the new ones and say so in an entry."""
    changed = found.facts_digest != digest and not (item.is_repeated and await _is_anothers(page, found, item))
    anew: dict[str, Any] = {}
    if changed:
        anew = _question(item, digest) | _UNSEEN | untold.woken(found.told_at, found.remind_at, now)
    await page.connection.execute(
        update(cases).where(cases.c.id == found.id).values(repeated=cases.c.repeated + 1, **anew)
    )
    if changed:
        page.append(_reported("case_repeated", CaseId(found.id), item), now)


async def _is_anothers(page: Page, found: _Found, item: CaseReport) -> bool:
    """Whether the case is about another attempt, which still asks the same."""
    if item.number == (found.channel or "", found.out_trade_no):
        return False
    asks = select(watches.c.id).where(
        watches.c.order_key == item.order_key,
        watches.c.channel == found.channel,
        watches.c.out_trade_no == found.out_trade_no,
        watches.c.due_at.is_not(None),
        watches.c.last_decision == item.kind.value,
    )
    return (await page.connection.execute(asks)).first() is not None


def _question(item: CaseReport, digest: str) -> dict[str, Any]:
    return {
        "channel": item.channel,
        "out_trade_no": item.out_trade_no,
        "why": clean(item.why),
        "facts": canonical([[fact.name, fact.theirs, fact.ours, fact.agrees] for fact in item.facts]),
        "facts_digest": digest,
    }


def _reported(kind: str, case: CaseId, item: CaseReport) -> Entry:
    return Entry(
        kind,
        item.order_key,
        item.order_no,
        item.channel,
        item.out_trade_no,
        {
            "case": case,
            "case_kind": item.kind.value,
            "why": clean(item.why),
            "facts": [
                {"name": fact.name, "theirs": fact.theirs, "ours": fact.ours, "agrees": fact.agrees}
                for fact in item.facts
            ],
        },
        item.evidence,
        item.key,
    )


def _entry(kind: str, row: _Found, body: dict[str, object]) -> Entry:
    channel = None if row.channel is None else ChannelName(row.channel)
    return Entry(kind, OrderKey(row.order_key), row.order_no, channel, row.out_trade_no, body)
