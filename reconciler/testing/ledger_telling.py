"""Who was told of which cases, in the ledger's double: as `reconciler.ledger.telling` and `untold` have it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import assert_never

from reconciler.domain.case import CaseKind
from reconciler.domain.money import Money
from reconciler.ports import (
    EXAMPLES,
    REMINDED_EVERY,
    REMINDED_TOGETHER,
    TOLD_AT_ONCE_MAX,
    Case,
    CaseId,
    CaseNews,
    Look,
    News,
)
from reconciler.testing.shelf import Contents, Telling


def opened(contents: Contents, case: CaseId) -> None:
    """Nobody knows of it yet."""
    contents.telling[case] = Telling(untold=contents.head[0] + 1)


def ended(contents: Contents, case: CaseId) -> None:
    """Make its end news for whoever was told of it."""
    telling = contents.telling[case]
    end_untold = contents.head[0] + 1 if telling.is_told else None
    contents.telling[case] = Telling(end_untold=end_untold, is_told=telling.is_told)


def put_off(contents: Contents, case: CaseId, until: datetime) -> None:
    """Nobody is to be reminded of it before then."""
    telling = contents.telling[case]
    if telling.is_told:
        telling.remind_at = until


def woken(contents: Contents, case: CaseId, now: datetime) -> None:
    """Put it off no more."""
    telling = contents.telling[case]
    if telling.remind_at is not None:
        telling.remind_at = min(telling.remind_at, now + REMINDED_EVERY)


def news(contents: Contents, look: Look) -> CaseNews:
    """Give what waits."""
    mine = [telling for case, telling in contents.telling.items() if contents.cases[case].kind in look.kinds]
    if look.news is News.STANDING and not any(each.remind_at and each.remind_at <= look.at for each in mine):
        return CaseNews()
    found = _found(contents, look)
    kinds = Counter(case.kind for case in found)
    sums = Counter[str]()
    for case in found:
        if case.amount is not None:
            sums[case.amount.currency] += case.amount.fen
    return CaseNews(
        tuple((kind, kinds[kind]) for kind in CaseKind if kind in kinds),
        tuple(Money(fen, currency) for currency, fen in sorted(sums.items())),
        sum(case.amount is not None for case in found),
        tuple(found[:EXAMPLES]),
    )


def told(contents: Contents, look: Look) -> int:
    """Write that it was told of."""
    found = _found(contents, look)
    for case in found:
        telling = contents.telling[case.id]
        match look.news:
            case News.OPENED:
                again = max(look.at + REMINDED_EVERY, case.snoozed_until or look.at)
                contents.telling[case.id] = Telling(is_told=True, remind_at=again)
            case News.STANDING:
                telling.remind_at = look.at + REMINDED_EVERY
            case News.ENDED:
                telling.end_untold = None
    return len(found)


def untold(contents: Contents) -> int:
    """Count what no target has taken."""
    return sum(telling.untold is not None for telling in contents.telling.values())


def _found(contents: Contents, look: Look) -> list[Case]:
    waiting = [(at, case) for case, each in contents.telling.items() if (at := _waits(each, look)) is not None]
    found = [contents.cases[case] for _, case in sorted(waiting)]
    return [case for case in found if case.kind in look.kinds and _is_awake(case, look)][:TOLD_AT_ONCE_MAX]


def _waits(telling: Telling, look: Look) -> float | None:
    match look.news:
        case News.OPENED:
            number = telling.untold
        case News.ENDED:
            number = telling.end_untold
        case News.STANDING:
            due = telling.remind_at is not None and telling.remind_at <= look.at + REMINDED_TOGETHER
            return telling.remind_at.timestamp() if due and telling.remind_at else None
        case _:
            assert_never(look.news)
    return number if number is not None and number <= look.entry else None


def _is_awake(case: Case, look: Look) -> bool:
    return look.news is not News.STANDING or case.snoozed_until is None or case.snoozed_until <= look.at
