"""What happened to an attempt, in the order in which it did: each ask, and each entry of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from reconciler.cli.common import at
from reconciler.domain.money import Money
from reconciler.ports import Ask, Story, StoryEntry, Watch

TOLD: Final = ("case_kind", "amount", "transaction_id", "outcome", "why", "ending", "note", "until")
"""What of an entry's body is told."""


def happened(watch: Watch, story: Story) -> Iterator[str]:
    """Tell every ask, and every entry of this attempt (or of the order as a whole); nothing that was just said."""
    entries = [(entry.at, entry) for entry in story.entries if _is_about(entry, watch)]
    known: list[tuple[datetime, Ask | StoryEntry]] = [*((ask.asked_at, ask) for ask in watch.asks), *entries]
    last: Ask | None = None
    for moment, each in sorted(known, key=lambda pair: pair[0]):
        if isinstance(each, Ask):
            yield f"{at(moment)}  {_asked(each, last)}"
            last = each
        else:
            yield f"{at(moment)}  {of_entry(each, last)}"


def of_entry(entry: StoryEntry, ask: Ask | None = None) -> str:
    """Tell an entry; not its why, where the ask before it said so."""
    body = dict(entry.entry.body)
    if isinstance(body.get("amount_fen"), int):
        body["amount"] = Money(int(str(body["amount_fen"])), str(body.get("currency", "CNY")))
    if ask is not None and "why" in body and ask.decision.endswith(f": {body['why']}"):
        del body["why"]
    facts = [str(body[name]) for name in TOLD if body.get(name) not in {None, ""}]
    case = [f"case {body['case']}"] if "case" in body else []
    by = [f"by {body['by']}"] if "by" in body else []
    told = ", ".join([*case, *facts, *by])
    return f"ledger    {entry.entry.kind} (entry {entry.id}){': ' if told else ''}{told}"


def _asked(ask: Ask, last: Ask | None) -> str:
    if last is not None and (ask.answer, ask.reason, ask.decision) == (last.answer, last.reason, last.decision):
        return f"asked     {ask.answer} in {ask.duration_ms} ms: as before"
    reason = f" ({ask.reason})" if ask.reason and ask.reason not in ask.decision else ""
    return f"asked     {ask.answer}{reason} in {ask.duration_ms} ms: {ask.decision}"


def _is_about(entry: StoryEntry, watch: Watch) -> bool:
    same_order = entry.entry.order_key in {None, watch.attempt.order_key}
    return same_order and entry.entry.out_trade_no in {"", watch.attempt.out_trade_no}
