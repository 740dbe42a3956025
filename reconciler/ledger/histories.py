"""What the ledger knows beside an attempt, for a whole batch in a bounded number of statements."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.case import APART, CaseKind
from reconciler.domain.history import History, KnownAttempt, Settlement
from reconciler.domain.order import ChannelName, OrderKey
from reconciler.ledger.cases import OPEN
from reconciler.ledger.intentions import moved
from reconciler.ledger.tables import cases, entries, watches
from reconciler.ledger.values import chunks, clean, from_us_or_none
from reconciler.ports import TRADE_CLOSE_BEGUN, TRADE_CLOSE_ENDED, Question

PAID_IN_THE_SHOP = frozenset(kind.value for kind in (CaseKind.PAID_AFTER_REFUND, CaseKind.PAID_WITHOUT_PAYMENT))
"""Cases that only an order which the shop shows as paid, or refunded, can have had. A second payment is not among them:
in mode observe the order is moved by the first in the mind alone."""

_OF_WATCH = tuple(
    watches.c[name]
    for name in ("id", "order_key", "channel", "out_trade_no", "last_verified", "transaction_id", "was_paid")
)
_OF_CASE = tuple(
    cases.c[name]
    for name in (
        "order_key", "kind", "final", "open", "channel", "out_trade_no",
        "facts_digest", "resolved_digest", "approved_digest",
    )
)  # fmt: skip
_OF_CLOSING = tuple(entries.c[name] for name in ("id", "order_key", "channel", "out_trade_no", "kind", "body"))

_Found = Row[Any]


async def histories(connection: AsyncConnection, questions: Sequence[Question]) -> list[History]:
    """Give what is known beside each question's attempt, in order. Five statements per 500 orders."""
    keys = sorted({question.watch.attempt.order_key for question in questions})
    transactions = sorted({question.transaction_id for question in questions if question.transaction_id})
    of_orders, of_transactions = await moved(connection, keys, transactions)
    known = _Known(
        watches=_by(await _watches(connection, keys), "order_key"),
        cases=_by(await _cases(connection, keys), "order_key"),
        closings=_by(await _closings(connection, keys), "order_key"),
        settlements=_by(of_orders, "order_key"),
        transactions=_by(of_transactions, "transaction_id"),
    )
    return [_history(question, known) for question in questions]


@dataclass(frozen=True, slots=True)
class _Known:
    watches: Mapping[str, list[_Found]]
    cases: Mapping[str, list[_Found]]
    closings: Mapping[str, list[_Found]]
    settlements: Mapping[str, list[_Found]]
    transactions: Mapping[str, list[_Found]]

    def is_all_of(self, question: Question, of_watch: Sequence[_Found]) -> bool:
        """Whether nothing is known but the attempt itself, as of nearly every order that is asked about."""
        attempt = question.watch.attempt
        return (
            len(of_watch) == 1
            and (of_watch[0].channel, of_watch[0].out_trade_no) == attempt.number
            and not any(attempt.order_key in each for each in (self.cases, self.closings, self.settlements))
            and (question.transaction_id or "") not in self.transactions
        )


def _history(question: Question, known: _Known) -> History:
    attempt = question.watch.attempt
    of_watch = known.watches.get(attempt.order_key, [])
    if known.is_all_of(question, of_watch):
        (itself,) = of_watch
        return History(
            was_paid=itself.was_paid,
            untrusted_run=question.watch.untrusted_run,
            last_verified=itself.last_verified,
        )
    of_case = known.cases.get(attempt.order_key, [])
    settled = _settlement(known.settlements.get(attempt.order_key, []))
    closings = [
        row
        for row in known.closings.get(attempt.order_key, [])
        if (row.channel, row.out_trade_no) == (attempt.channel, clean(attempt.out_trade_no))
    ]
    endings = (json.loads(row.body) for row in reversed(closings) if row.kind == TRADE_CLOSE_ENDED)
    ended: Mapping[str, object] = next(endings, {})
    return History(
        others=tuple(
            KnownAttempt(ChannelName(row.channel), row.out_trade_no, row.last_verified, row.transaction_id)
            for row in of_watch
            if (row.channel, row.out_trade_no) != attempt.number
        ),
        settled=settled,
        transaction_moved=_mover(question, known),
        was_paid=settled is not None
        or any(row.was_paid for row in of_watch)
        or any(row.kind in PAID_IN_THE_SHOP for row in of_case),
        untrusted_run=question.watch.untrusted_run,
        last_verified=next(
            (row.last_verified for row in of_watch if (row.channel, row.out_trade_no) == attempt.number), None
        ),
        resolved_for_good=any(row.final for row in of_case),
        open_cases=frozenset(CaseKind(row.kind) for row in of_case if row.open == OPEN) - APART,
        resolved=frozenset(row.resolved_digest for row in of_case if row.resolved_digest is not None),
        approved=frozenset(row.facts_digest for row in of_case if _is_approved(row, question)),
        close_begun=bool(closings),
        close_outcome=str(ended.get("outcome", "")),
        close_refused=ended.get("refused") is True,
    )


def _is_approved(row: _Found, question: Question) -> bool:
    """Whether a person waved through what is asked about this very attempt, as it is asked now."""
    attempt = question.watch.attempt
    its_own = (row.channel, row.out_trade_no) == (attempt.channel, clean(attempt.out_trade_no))
    return its_own and row.open == OPEN and row.approved_digest == row.facts_digest


def _settlement(rows: Sequence[_Found]) -> Settlement | None:
    if not rows:
        return None
    last = rows[-1]
    return Settlement(
        ChannelName(last.channel), last.out_trade_no, last.transaction_id, from_us_or_none(last.concluded_at)
    )


def _mover(question: Question, known: _Known) -> OrderKey | None:
    """Name another order that this transaction has moved; none where it moved this one too (a declared group)."""
    attempt = question.watch.attempt
    movers = [
        row.order_key
        for row in known.transactions.get(question.transaction_id or "", [])
        if row.channel == attempt.channel
    ]
    return None if not movers or attempt.order_key in movers else OrderKey(movers[0])


async def _watches(connection: AsyncConnection, order_keys: Sequence[str]) -> list[_Found]:
    found: list[_Found] = []
    for keys in chunks(order_keys):
        query = select(*_OF_WATCH).where(watches.c.order_key.in_(keys))
        found += (await connection.execute(query)).all()
    return sorted(found, key=lambda row: int(row.id))


async def _cases(connection: AsyncConnection, order_keys: Sequence[str]) -> list[_Found]:
    found: list[_Found] = []
    for keys in chunks(order_keys):
        query = select(*_OF_CASE).where(
            cases.c.order_key.in_(keys),
            or_(
                cases.c.open == OPEN,
                cases.c.resolved_digest.is_not(None),
                cases.c.final,
                cases.c.kind.in_(sorted(PAID_IN_THE_SHOP)),
            ),
        )
        found += (await connection.execute(query)).all()
    return found


async def _closings(connection: AsyncConnection, order_keys: Sequence[str]) -> list[_Found]:
    found: list[_Found] = []
    for keys in chunks(order_keys):
        query = select(*_OF_CLOSING).where(
            entries.c.order_key.in_(keys), entries.c.kind.in_((TRADE_CLOSE_BEGUN, TRADE_CLOSE_ENDED))
        )
        found += (await connection.execute(query)).all()
    return sorted(found, key=lambda row: int(row.id))


def _by(rows: Iterable[_Found], name: str) -> Mapping[str, list[_Found]]:
    found: defaultdict[str, list[_Found]] = defaultdict(list)
    for row in rows:
        found[getattr(row, name)].append(row)
    return found
