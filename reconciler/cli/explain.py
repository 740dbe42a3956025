"""`reconciler explain ORDER`: the whole story, from the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from reconciler.cli.common import (
    AsJson,
    Config,
    at,
    fail,
    finish,
    iso,
    length,
    print_json,
    read,
    reading,
    say,
    side_by_side,
)
from reconciler.cli.happened import happened, of_entry
from reconciler.cli.hindrances import Standing, hindrances, standing
from reconciler.exit import Exit
from reconciler.flow.learning import LEARNED_MARK, Learned
from reconciler.ports import Case, Story, Watch
from reconciler.settings.model import LearnedAges, Settings

OBSERVED: Final = dict.fromkeys(("would_settle", "close_order"), " (mode observe: nothing is written to the shop)") | (
    dict.fromkeys(("stop", "done"), " (mode observe: no watch ends)")
)
"""What mode observe changes about a decision, by its name; of others nothing."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger has on an order, and on its channels."""

    story: Story
    standing: Standing
    mode: str
    """Of the last leader, which a command line may have given another than the configuration."""
    learned: Learned | None = None
    """The ages, where they are learned."""


def explain(
    order: Annotated[str, typer.Argument(help="The order_no, the out_trade_no, or the order's key.")],
    *,
    config: Config = None,
    json: AsJson = False,
) -> None:
    """Tell an order's whole story: what was asked, answered and decided, and what comes next."""
    settings = read(config, asks=False)
    known = finish(_known(settings, order))
    story = known.story
    if not (story.watches or story.entries or story.cases):
        fail(
            _unknown(order, settings, known.standing),
            Exit.UNFINISHED,
        )
    if json:
        print_json(_plain(known))
        return
    for line in _lines(known):
        say(line)


async def _known(settings: Settings, order: str) -> Known:
    ledger = await reading(settings)
    try:
        story = await ledger.story(order)
        stands = await standing(settings, ledger)
        ages = await ledger.mark(LEARNED_MARK) if isinstance(settings.ask.ages, LearnedAges) else None
    finally:
        await ledger.close()
    mode = stands.leader["mode"] if stands.leader else settings.mode
    return Known(story, stands, mode, Learned.read(ages) if ages else None)


def _unknown(order: str, settings: Settings, stands: Standing) -> str:
    """Say why an order may be unknown: each of the reasons there are, with the figures that count here."""
    found_at = (stands.daemon or {}).get("found_at")
    if stands.daemon is None:
        looked = "No daemon answers here, and so nobody looks for new orders"
    elif found_at is None:
        looked = "The daemon has not looked for orders yet"
    else:
        looked = f"The daemon last looked for orders at {at(datetime.fromisoformat(found_at))}"
    window = f"find.window ({length(settings.find.window)}; `run --since DATE` looks further back)"
    return (
        f"The ledger knows no order {order}. `reconciler ask {order}` looks in the shop.\n"
        f"{looked}.\n"
        f"Found is what waits for a payment, or was closed without one, within {window}; what was paid before it was "
        "found is not, nor what shop.orders.where or shop.ignore_channels leaves out, nor a channel that is not "
        "configured."
    )


def _lines(known: Known) -> Iterator[str]:
    story = known.story
    for watch in story.watches:
        attempt = watch.attempt
        yield f"order {attempt.order_no}   key {attempt.order_key}"
        yield f"  attempt   {attempt.out_trade_no} at {attempt.channel}"
        yield f"  created   {at(attempt.created_at)}"
        yield from (f"  {line}" for line in happened(watch, story))
        yield f"  next      {_next(watch, known)}"
        for hindrance in hindrances(watch, known.standing):
            yield f"  but       {hindrance}"
        if known.learned is not None and watch.ended_at is None:
            yield f"  ages      {_ages(known.learned)}"
        yield ""
    if not story.watches:
        for entry in story.entries:
            yield f"  {at(entry.at)}  {of_entry(entry)}"
    for case in story.cases:
        yield from _case(case)


def _case(case: Case) -> Iterator[str]:
    """Tell a case: of one that has ended, how it did; of an open one what does not add up."""
    if case.ended_at:
        yield f"case {case.id}   {case.kind.value}   ended {at(case.ended_at)}: {case.ending}"
    else:
        yield f"case {case.id}   {case.kind.value}   open"
        yield f"  {case.why}"
        if case.facts:
            yield from side_by_side(case.facts)
    yield f"  reconciler cases show {case.id}"


def _next(watch: Watch, known: Known) -> str:
    open_cases = [case for case in known.story.cases if case.ended_at is None]
    if watch.ended_at is not None:
        then = f"; {_must_decide(open_cases[0])}" if open_cases else ""
        return f"nothing: ended {at(watch.ended_at)}: {watch.why or watch.last_decision}{then}"
    now = datetime.now(UTC)
    when = f"due since {at(watch.next_ask_at)}" if watch.next_ask_at <= now else f"asked at {at(watch.next_ask_at)}"
    wait = length(abs(watch.next_ask_at - now))
    case = next((case for case in open_cases if case.why == watch.why), None)
    why = f"; {_must_decide(case) if case else watch.why}" if watch.why else ""
    mode = OBSERVED.get(watch.last_decision, "") if known.mode == "observe" else ""
    return f"{when} ({'for' if watch.next_ask_at <= now else 'in'} {wait}){why}{mode}"


def _must_decide(case: Case) -> str:
    return f"a person must decide: reconciler cases show {case.id}"


def _ages(learned: Learned) -> str:
    seen = f"from {learned.payments} payments, {at(learned.at)}"
    if not learned.ages:
        return f"as listed by default: {seen}: too few to learn from"
    return f"learned {seen}: {' '.join(length(age) for age in learned.ages)}"


def _plain(known: Known) -> dict[str, object]:
    """Give the story as documented JSON."""
    story = known.story
    return {
        "ages": None if known.learned is None else _plain_ages(known.learned),
        "watches": [
            {
                "order_no": watch.attempt.order_no,
                "order_key": watch.attempt.order_key,
                "channel": watch.attempt.channel,
                "out_trade_no": watch.attempt.out_trade_no,
                "created_at": iso(watch.attempt.created_at),
                "next_ask_at": None if watch.ended_at else iso(watch.next_ask_at),
                "last_decision": watch.last_decision,
                "why": watch.why,
                "ended_at": iso(watch.ended_at),
                "channel_paused": known.standing.paused.get(watch.attempt.channel),
                "hindrances": list(hindrances(watch, known.standing)),
                "asks": [
                    {
                        "asked_at": iso(ask.asked_at),
                        "answer": ask.answer,
                        "reason": ask.reason,
                        "duration_ms": ask.duration_ms,
                        "decision": ask.decision,
                    }
                    for ask in watch.asks
                ],
            }
            for watch in story.watches
        ],
        "entries": [
            {
                "id": entry.id,
                "at": iso(entry.at),
                "kind": entry.entry.kind,
                "channel": entry.entry.channel,
                "out_trade_no": entry.entry.out_trade_no,
                "body": dict(entry.entry.body),
                "evidence": entry.entry.evidence.digest() if entry.entry.evidence else None,
                "hash": entry.hash,
            }
            for entry in story.entries
        ],
        "cases": [
            {
                "id": case.id,
                "kind": case.kind.value,
                "why": case.why,
                "ended_at": iso(case.ended_at),
                "ending": case.ending,
            }
            for case in story.cases
        ],
    }


def _plain_ages(learned: Learned) -> dict[str, object]:
    ages_s = [age.total_seconds() for age in learned.ages]
    return {"learned_at": iso(learned.at), "payments": learned.payments, "ages_s": ages_s}
