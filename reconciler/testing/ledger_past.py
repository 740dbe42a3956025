"""The past in the ledger's double: telling it, and forgetting what is old."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from reconciler.domain.order import OrderKey
from reconciler.ports import Story
from reconciler.testing.shelf import Contents, as_open


def story_of(contents: Contents, number: str) -> Story:
    """Give everything about the orders with this order_no, out_trade_no or key."""
    attempts = [item.watch.attempt for item in contents.watches.values()]
    named = [(a.order_key, a.order_no, a.out_trade_no) for a in attempts]
    named += [(c.order_key, c.order_no, c.out_trade_no) for c in contents.cases.values()]
    named += [(e.entry.order_key or OrderKey(""), e.entry.order_no, e.entry.out_trade_no) for e in contents.entries]
    keys = {names[0] for names in named if number in names}
    return Story(
        watches=tuple(item.watch for key in sorted(keys) for item in contents.watched(key)),
        entries=tuple(e for e in contents.entries if e.entry.order_key in keys),
        cases=tuple(case for case in contents.cases.values() if case.order_key in keys),
        intentions=tuple(as_open(i) for i in contents.intentions.values() if i.outcome is None and set(i.keys) & keys),
    )


def forget(contents: Contents, before: datetime) -> int:
    """Forget evidence and ended watches from before that time, but for what an open question needs."""
    waiting = {case.order_key for case in contents.cases.values() if not case.ended_at}
    waiting |= {key for item in contents.intentions.values() if item.outcome is None for key in item.keys}
    spared = waiting | {item.watch.attempt.order_key for item in contents.watches.values() if not item.watch.ended_at}
    gone = [
        item.watch.id
        for item in contents.watches.values()
        if item.watch.ended_at and item.watch.ended_at < before and item.watch.attempt.order_key not in spared
    ]
    for watch in gone:
        contents.forget_watch(watch)
    kept = {
        line.entry.evidence.digest()
        for line in contents.entries
        if line.entry.evidence and (line.at >= before or line.entry.order_key in waiting)
    }
    pruned = set()
    for place, line in enumerate(contents.entries):
        if line.entry.evidence and (digest := line.entry.evidence.digest()) not in kept:
            pruned.add(digest)
            contents.entries[place] = replace(line, entry=replace(line.entry, evidence=None, key=None))
    return len(gone) + len(pruned)
