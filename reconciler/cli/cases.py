"""`reconciler cases`: the questions that need a person."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from reconciler.cli.advice import ADVICE
from reconciler.cli.common import (
    AsJson,
    Config,
    at,
    fail,
    finish,
    harmless,
    iso,
    length,
    print_json,
    read,
    reading,
    say,
    side_by_side,
)
from reconciler.exit import Exit
from reconciler.ports import Case, CaseId, StoryEntry
from reconciler.settings.model import Settings

cases = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@cases.callback()
def cases_(context: typer.Context, *, config: Config = None) -> None:
    """List the open cases; `show ID` has one with its facts."""
    if context.invoked_subcommand is None:
        list_(config=config)


@cases.command("list")
def list_(
    *,
    config: Config = None,
    ended: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
    json: AsJson = False,
) -> None:
    """List the open cases, oldest first."""
    found = finish(_cases(read(config), with_ended=ended))
    if json:
        print_json([_plain(case) for case in found])
        return
    if not found:
        say("No cases." if ended else "No open cases.")
        return
    _print_table(found)


def _print_table(found: Sequence[Case]) -> None:
    """Print a table that fits a terminal; elsewhere one line a case, for grep."""
    now = datetime.now(UTC)
    rows = []
    for case in found:
        why = f"{case.why} [ended: {case.ending}]" if case.ended_at else case.why
        cells = (str(case.id), length(now - case.opened_at), case.kind.value, case.order_no, case.channel or "-", why)
        rows.append([harmless(cell) for cell in cells])
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(row))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "age", "kind", "order", "channel", "why"):
        table.add_column(heading, overflow="fold", no_wrap=heading in {"id", "age", "kind"})
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)


@cases.command()
def show(
    number: Annotated[int, typer.Argument(metavar="ID", help="The case's number, from `cases list`.")],
    *,
    config: Config = None,
    json: AsJson = False,
) -> None:
    """Show one case: facts side by side, evidence, history, and what to do."""
    settings = read(config)
    case, entries = finish(_case(settings, CaseId(number)))
    if case is None:
        fail(f"There is no case {number}. `reconciler cases list --all` has them all.", Exit.UNFINISHED)
    if json:
        print_json({**_plain(case), "entries": [_plain_entry(entry) for entry in entries]})
        return
    state = f"ended {at(case.ended_at)}: {case.ending}" if case.ended_at else "open"
    say(f"case {case.id}   {case.kind.value}   {state}")
    say(f"order     {case.order_no or '-'}   key {case.order_key}")
    say(f"channel   {case.channel or '-'}   out_trade_no {case.out_trade_no or '-'}")
    times = "once more" if case.repeated == 1 else f"{case.repeated} more times"
    repeated = f", seen {times}" if case.repeated else ""
    say(f"opened    {at(case.opened_at)}{repeated}")
    say(f"why       {case.why}")
    if case.facts:
        say()
        for line in side_by_side(case.facts):
            say(line)
    say()
    say("history")
    for entry in entries:
        evidence = f"   evidence {entry.entry.evidence.digest()[:16]}…" if entry.entry.evidence else ""
        say(f"  {at(entry.at)}  entry {entry.id}  {entry.entry.kind}{evidence}")
    say()
    say("what to do")
    say(f"  {ADVICE[case.kind]}")
    say("  By hand means by the shop's own means, which also deliver; docs/how-to/handle-a-case.md says more.")
    say(f"  The whole story: reconciler explain {case.order_no or case.order_key}")


async def _cases(settings: Settings, *, with_ended: bool) -> Sequence[Case]:
    ledger = await reading(settings)
    try:
        return await ledger.cases(with_ended=with_ended)
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


def _plain(case: Case) -> dict[str, object]:
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
    }


def _plain_entry(entry: StoryEntry) -> dict[str, object]:
    digest = entry.entry.evidence.digest() if entry.entry.evidence else None
    return {"id": entry.id, "at": iso(entry.at), "kind": entry.entry.kind, "evidence": digest, "hash": entry.hash}
