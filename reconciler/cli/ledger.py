"""`reconciler ledger`: whether the record is whole."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.common import AsJson, Config, fail, finish, print_json, read, reading, say
from reconciler.exit import Exit
from reconciler.gateways import KINDS
from reconciler.ledger.verify import Verification
from reconciler.ledger.verify import verify as walk
from reconciler.settings.model import Settings

PROBLEMS_SHOWN_MAX = 20

ledger = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@ledger.callback()
def ledger_() -> None:
    """Look after the ledger."""


@ledger.command()
def verify(
    *,
    config: Config = None,
    head: Annotated[
        list[str] | None,
        typer.Option(help="ENTRY:HASH, from a ledger.head line of the log: none was cut off."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Walk the chain, compare every piece of evidence, and check the gateways' own signatures again."""
    heads = dict(_head(text) for text in head or ())
    found = finish(_verify(read(config), heads))
    if json:
        print_json(_plain(found))
    else:
        entry, digest = found.head
        say(f"entries    {found.entries}, the last is {entry}:{digest}")
        say(f"evidence   {found.evidence} intact, {found.signatures} signatures verified, {found.pruned} pruned")
        for number, text in found.problems[:PROBLEMS_SHOWN_MAX]:
            say(f"problem    entry {number}: {text}")
        say("sound" if found.is_sound else f"NOT SOUND: {len(found.problems)} problems")
    if not found.is_sound:
        raise typer.Exit(Exit.UNFINISHED)


def _plain(found: Verification) -> dict[str, object]:
    """Give the findings as documented JSON."""
    return {
        "sound": found.is_sound,
        "entries": found.entries,
        "head": {"entry": found.head[0], "hash": found.head[1]},
        "evidence": found.evidence,
        "signatures": found.signatures,
        "pruned": found.pruned,
        "problems": [{"entry": entry, "problem": text} for entry, text in found.problems],
    }


async def _verify(settings: Settings, heads: dict[int, str]) -> Verification:
    store = await reading(settings)
    try:
        return await walk(store, {name: kind.verify_evidence for name, kind in KINDS.items()}, heads)
    finally:
        await store.close()


def _head(text: str) -> tuple[int, str]:
    entry, _, digest = text.partition(":")
    if not entry.isdigit() or not digest:
        fail(f"--head {text}: write it as ENTRY:HASH, from a ledger.head line", Exit.CONFIGURATION)
    return int(entry), digest
