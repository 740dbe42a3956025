"""Learn the ages anew once a day, from the ledger's own payments, where `ask.ages = "learned"`."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reconciler.domain.learning import PAYMENTS_MIN, learned_ages
from reconciler.domain.policy import DEFAULT_AGES
from reconciler.events.running import AgesLearned
from reconciler.flow.context import Context

LEARNED_MARK = "ask.learned"
LEARN_EVERY = timedelta(days=1)
SEEN_WITHIN = timedelta(days=7)
ROWS_MAX = 10_000
"""So many settlements, and so many ended watches, are looked at: the newest."""


@dataclass(frozen=True, slots=True)
class Learned:
    """The ages that hold, and what they were learned from: the mark that keeps them."""

    at: datetime
    per_order: float
    payments: int
    ages: tuple[timedelta, ...]

    @classmethod
    def read(cls, text: str) -> Learned:
        """Read the mark."""
        kept = json.loads(text)
        ages = tuple(timedelta(seconds=age_s) for age_s in kept["ages_s"])
        return cls(datetime.fromisoformat(kept["at"]), kept["per_order"], kept["payments"], ages)

    def text(self) -> str:
        """Write the mark."""
        ages_s = [age.total_seconds() for age in self.ages]
        kept = {"at": self.at.isoformat(), "per_order": self.per_order, "payments": self.payments, "ages_s": ages_s}
        return json.dumps(kept)


async def take_up(context: Context) -> None:
    """Ask at the ages that were learned last, for as many asks as are configured now; else as listed."""
    if (per_order := context.policy.per_order) is None:
        return
    learned = await _kept(context)
    holds = learned is not None and learned.per_order == per_order and learned.ages
    context.policy = replace(context.policy, ages=learned.ages if learned and holds else DEFAULT_AGES)


async def learn(context: Context) -> None:
    """Learn anew, where the last time is a day ago, and say so where that changes anything."""
    if (per_order := context.policy.per_order) is None:
        return
    now, before = context.clock.now(), await _kept(context)
    if before and before.per_order == per_order and timedelta(0) <= now - before.at < LEARN_EVERY:
        return
    seen = await context.ledger.payments(now - SEEN_WITHIN, ROWS_MAX)
    ages = learned_ages(seen, per_order, DEFAULT_AGES[-1]) or ()
    await context.ledger.set_mark(LEARNED_MARK, Learned(now, per_order, len(seen.delays), ages).text())
    changed = (ages or DEFAULT_AGES) != context.policy.ages
    context.policy = replace(context.policy, ages=ages or DEFAULT_AGES)
    if changed:
        why = "" if ages else f"fewer than {PAYMENTS_MIN} payments seen: as listed"
        written = " ".join(f"{age.total_seconds():g}s" for age in context.policy.ages)
        context.events.emit(AgesLearned(ages=written, payments=len(seen.delays), why=why))


async def _kept(context: Context) -> Learned | None:
    text = await context.ledger.mark(LEARNED_MARK)
    return Learned.read(text) if text else None
