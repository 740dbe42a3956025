"""`reconciler explain ORDER`: the whole story, from the ledger."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from reconciler.cli.common import AsJson, Config, at, fail, finish, iso, length, pauses, print_json, read, reading, say
from reconciler.domain.money import Money
from reconciler.exit import Exit
from reconciler.ports import Story, StoryEntry, Watch
from reconciler.settings.model import Settings

OBSERVED: Final = dict.fromkeys(("would_settle", "close_order"), " (mode observe: nothing is written to the shop)") | (
    dict.fromkeys(("stop", "done"), " (mode observe: no watch ends)")
)
"""What mode observe changes about a decision, by its name; of others nothing."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger has on an order, and on its channels."""

    story: Story
    paused: dict[str, dict[str, str]]
    """By channel: since when, and why."""
    mode: str
    """Of the last leader, which a command line may have given another than the configuration."""


def explain(
    order: Annotated[str, typer.Argument(help="The order_no, the out_trade_no, or the order's key.")],
    *,
    config: Config = None,
    json: AsJson = False,
) -> None:
    """Tell an order's whole story: what was asked, answered and decided, and what comes next."""
    settings = read(config)
    known = finish(_known(settings, order))
    story = known.story
    if not (story.watches or story.entries or story.cases):
        fail(
            f"The ledger knows no order {order}. What waits for a payment, or was closed without one, is found within "
            f"find.window; what was paid before it was found is not. `reconciler ask {order}` looks in the shop.",
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
        leader = await ledger.mark("leader")
        paused = await pauses(ledger, settings.channels)
    finally:
        await ledger.close()
    mode = json_module.loads(leader)["mode"] if leader else settings.mode
    return Known(story, paused, mode)


def _lines(known: Known) -> Iterator[str]:
    story = known.story
    for watch in story.watches:
        attempt = watch.attempt
        yield f"order {attempt.order_no}   key {attempt.order_key}"
        yield f"  attempt   {attempt.out_trade_no} at {attempt.channel}"
        yield f"  created   {at(attempt.created_at)}"
        for moment, text in sorted(_happened(watch, story)):
            yield f"  {at(moment)}  {text}"
        yield f"  next      {_next(watch, known)}"
        yield ""
    if not story.watches:
        for entry in story.entries:
            yield f"  {at(entry.at)}  {_entry(entry)}"
    for case in story.cases:
        state = f"ended {at(case.ended_at)}: {case.ending}" if case.ended_at else "open"
        yield f"case {case.id}   {case.kind.value}   {state}"
        yield f"  {case.why}"
        for fact in case.facts:
            yield f"  {fact}"
        yield f"  reconciler cases show {case.id}"


def _happened(watch: Watch, story: Story) -> Iterator[tuple[datetime, str]]:
    """Give every ask, and every entry of this attempt (or of the order as a whole)."""
    for ask in watch.asks:
        reason = f" ({ask.reason})" if ask.reason and ask.reason not in ask.decision else ""
        yield ask.asked_at, f"asked     {ask.answer}{reason} in {ask.duration_ms} ms: {ask.decision}"
    for entry in story.entries:
        same_order = entry.entry.order_key in {None, watch.attempt.order_key}
        if same_order and entry.entry.out_trade_no in {"", watch.attempt.out_trade_no}:
            yield entry.at, _entry(entry)


def _entry(entry: StoryEntry) -> str:
    body = dict(entry.entry.body)
    if isinstance(body.get("amount_fen"), int):
        body["amount"] = Money(int(str(body["amount_fen"])), str(body.get("currency", "CNY")))
    told = ("case_kind", "amount", "transaction_id", "outcome", "why", "ending")
    facts = ", ".join(str(body[name]) for name in told if body.get(name) not in {None, ""})
    return f"ledger    {entry.entry.kind} (entry {entry.id}): {facts}"


def _next(watch: Watch, known: Known) -> str:
    if watch.ended_at is not None:
        open_case = next((case for case in known.story.cases if case.ended_at is None), None)
        then = f"; a person must decide: reconciler cases show {open_case.id}" if open_case else ""
        return f"nothing: ended {at(watch.ended_at)}: {watch.why or watch.last_decision}{then}"
    if pause := known.paused.get(watch.attempt.channel):
        since = at(datetime.fromisoformat(pause["since"]))
        return f"not asked: the channel has been paused since {since}: {pause['why']}"
    now = datetime.now(UTC)
    when = f"due since {at(watch.next_ask_at)}" if watch.next_ask_at <= now else f"asked at {at(watch.next_ask_at)}"
    wait = length(abs(watch.next_ask_at - now))
    why = f"; {watch.why}" if watch.why else ""
    mode = OBSERVED.get(watch.last_decision, "") if known.mode == "observe" else ""
    return f"{when} ({'for' if watch.next_ask_at <= now else 'in'} {wait}){why}{mode}"


def _plain(known: Known) -> dict[str, object]:
    """Give the story as documented JSON."""
    story = known.story
    return {
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
                "channel_paused": known.paused.get(watch.attempt.channel),
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
