"""`reconciler cases list` and `show`: the questions that need a person."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, TextIO

import typer

from reconciler.cli.advice import ADVICE
from reconciler.cli.cases.table import print_table, state_of
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
from reconciler.domain.case import APPROVABLE, CaseKind
from reconciler.exit import Exit
from reconciler.ports import Case, CaseId, StoryEntry
from reconciler.settings.model import Settings

LIMIT: Final = 100
LIMIT_IN_A_PIPE: Final = 1000
LIMIT_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class Choice:
    """Which cases to list."""

    with_ended: bool
    kind: CaseKind | None
    after: CaseId
    limit: int


def list_(
    *,
    config: Config = None,
    ended: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
    kind: Annotated[CaseKind | None, typer.Option("--kind", metavar="KIND", help="Of this kind only.")] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, max=LIMIT_MAX, help="So many. [default: 100; in a pipe 1000]"),
    ] = None,
    after: Annotated[int, typer.Option("--after", metavar="ID", min=0, help="Those behind this one.")] = 0,
    json: AsJson = False,
) -> None:
    """List the open cases, oldest first."""
    is_for_a_person = sys.stdout.isatty() and not json
    limit = limit or (LIMIT if is_for_a_person else LIMIT_IN_A_PIPE)
    settings = read(config, asks=False)
    found, more = finish(_cases(settings, Choice(with_ended=ended, kind=kind, after=CaseId(after), limit=limit)))
    if json:
        print_json([plain(case) for case in found])
    elif found:
        print_table(found)
        if is_for_a_person:
            print("Facts, and what to do: reconciler cases show ID")
    else:
        say(
            f"No {'' if ended else 'open '}cases{f' {kind.value}' if kind else ''}{' after this one' if after else ''}."
        )
    if more:
        chosen = f"{' --all' if ended else ''}{f' --kind {kind.value}' if kind else ''}"
        print(f"… and {more} more: reconciler cases list{chosen} --after {found[-1].id}", file=_beside(is_for_a_person))


def show(
    number: Annotated[int, typer.Argument(metavar="ID", help="The case's number, from `cases list`.")],
    *,
    config: Config = None,
    json: AsJson = False,
) -> None:
    """Show one case: facts side by side, evidence, history, and what to do."""
    settings = read(config, asks=False)
    case, entries = finish(_case(settings, CaseId(number)))
    if case is None:
        fail(f"There is no case {number}. `reconciler cases list --all` has them all.", Exit.UNFINISHED)
    if json:
        print_json({**plain(case), "entries": [plain_entry(entry) for entry in entries]})
        return
    say(f"case {case.id}   {case.kind.value}   {state_of(case)}")
    amount = f"   {case.amount}" if case.amount else ""
    say(f"order     {case.order_no or '-'}   key {case.order_key}{amount}")
    say(f"channel   {case.channel or '-'}   out_trade_no {case.out_trade_no or '-'}")
    times = "once more" if case.repeated == 1 else f"{case.repeated} more times"
    repeated = f", seen {times}" if case.repeated else ""
    say(f"opened    {at(case.opened_at)} ({length(datetime.now(UTC) - case.opened_at)} ago){repeated}")
    say(f"why       {case.why}")
    if case.facts:
        say()
        for line in side_by_side(case.facts):
            say(line)
    say()
    say("history")
    for entry in entries:
        evidence = f"   evidence {entry.entry.evidence.digest()[:16]}…" if entry.entry.evidence else ""
        say(f"  {at(entry.at)}  entry {entry.id}  {entry.entry.kind}{_said(entry)}{evidence}")
    say()
    say("what to do")
    for line in _to_do(case, settings):
        say(f"  {line}")
    if any(entry.entry.evidence for entry in entries):
        order = case.order_no or case.order_key
        say(f"  The gateway's answers as they arrived: reconciler ledger export --order {order}")


def _to_do(case: Case, settings: Settings) -> Iterator[str]:
    """Say what a person can do about it: of one that has ended, nothing but to ask it again."""
    if case.ended_at:
        yield "nothing: it has ended"
        yield f"If it is a question after all: reconciler cases reopen {case.id}"
    else:
        yield ADVICE[case.kind]
        if case.kind in APPROVABLE and settings.mode == "observe":
            yield (
                "Approving waits for mode enforce. In mode observe nothing is settled, and so nothing is approved:"
                " until then, settle it by the shop's own means."
            )
        elif case.kind in APPROVABLE:
            yield f"If it is to be settled all the same: reconciler cases approve {case.id}"
        yield f'When it has been dealt with: reconciler cases resolve {case.id} --note "what was done"'
        by_hand = (
            "By hand means by the shop's own means, which also deliver; " if "by hand" in ADVICE[case.kind] else ""
        )
        yield f"{by_hand}docs/how-to/handle-a-case.md#{case.kind.value} says more."
    yield f"The whole story: reconciler explain {case.order_no or case.order_key}"


def _said(entry: StoryEntry) -> str:
    """Give who did it, and with what words, where a person did."""
    body = entry.entry.body
    by = f" by {body['by']}" if "by" in body else ""
    words = "; ".join(str(body[name]) for name in ("note", "until") if body.get(name))
    return f"{by}{f': {words}' if words else ''}"


def _beside(is_for_a_person: bool) -> TextIO:  # noqa: FBT001 # its only argument
    """Say where to print what is no case: not where a program reads cases."""
    return sys.stdout if is_for_a_person else sys.stderr


async def _cases(settings: Settings, choice: Choice) -> tuple[Sequence[Case], str]:
    """Give a page of cases, and how many come behind it: of those that have ended, too, only that there are some."""
    ledger = await reading(settings)
    try:
        found = await ledger.cases(
            with_ended=choice.with_ended, kind=choice.kind, after=choice.after, limit=choice.limit + 1
        )
        if len(found) <= choice.limit:
            return found, ""
        found = found[: choice.limit]
        if choice.with_ended or choice.after:
            return found, "some"
        counts = await ledger.open_cases()
        chosen = [each.count for kind, each in counts.items() if choice.kind in {None, kind}]
        return found, str(sum(chosen) - len(found))
    finally:
        await ledger.close()


async def _case(settings: Settings, number: CaseId) -> tuple[Case | None, Sequence[StoryEntry]]:
    ledger = await reading(settings)
    try:
        case = await ledger.case(number)
        story = await ledger.story(case.order_key) if case else None
    finally:
        await ledger.close()
    entries = [entry for entry in story.entries if entry.entry.body.get("case") == number] if story else []
    return case, entries


def plain(case: Case) -> dict[str, object]:
    """Give a case as documented JSON."""
    return {
        "id": case.id,
        "kind": case.kind.value,
        "order_key": case.order_key,
        "order_no": case.order_no,
        "channel": case.channel,
        "out_trade_no": case.out_trade_no,
        "why": case.why,
        "facts": [
            {"name": fact.name, "theirs": fact.theirs, "ours": fact.ours, "agrees": fact.agrees} for fact in case.facts
        ],
        "opened_at": iso(case.opened_at),
        "repeated": case.repeated,
        "ended_at": iso(case.ended_at),
        "ending": case.ending or None,
        "final": case.final,
        "snoozed_until": iso(case.snoozed_until),
    }


def plain_entry(entry: StoryEntry) -> dict[str, object]:
    """Give an entry as documented JSON."""
    digest = entry.entry.evidence.digest() if entry.entry.evidence else None
    return {"id": entry.id, "at": iso(entry.at), "kind": entry.entry.kind, "evidence": digest, "hash": entry.hash}
