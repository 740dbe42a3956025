"""`reconciler doctor`: is everything in place, and what to do where it is not."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import typer

from reconciler.cli.common import AsJson, Config, never_print, path_of, print_json, say
from reconciler.doctor import Remark, Verdict, visit
from reconciler.exit import Exit
from reconciler.ops.clock import SystemClock

SIGNS = {Verdict.WELL: "✓", Verdict.WARNING: "!", Verdict.FAULT: "✗"}
SUBJECT_WIDTH = 16


def doctor(*, config: Config = None, json: AsJson = False) -> None:
    """Say of everything that the daemon needs whether it is in place, with the remedy where it is not.

    Nothing is written: neither to the shop nor to the ledger. Gateways are only asked. It ends with 1 on any ✗.
    """
    remarks = asyncio.run(_visit(config, quiet=json))
    if json:
        print_json(_plain(remarks))
    else:
        counts = Counter(remark.verdict for remark in remarks)
        say(f"{counts[Verdict.FAULT]} ✗, {counts[Verdict.WARNING]} !, {counts[Verdict.WELL]} ✓")
    if any(remark.verdict is Verdict.FAULT for remark in remarks):
        raise typer.Exit(Exit.UNFINISHED)


async def _visit(config: Config, *, quiet: bool) -> list[Remark]:
    remarks = []
    async for remark in visit(path_of(config), SystemClock(), read=never_print):
        remarks.append(remark)
        if not quiet:
            _show(remark)
    return remarks


def _show(remark: Remark) -> None:
    say(f"{SIGNS[remark.verdict]} {remark.subject:{SUBJECT_WIDTH}} {remark.text}")
    if remark.remedy:
        say(f"  {'':{SUBJECT_WIDTH}} → {remark.remedy}")


def _plain(remarks: Sequence[Remark]) -> dict[str, object]:
    return {
        "sound": not any(remark.verdict is Verdict.FAULT for remark in remarks),
        "remarks": [
            {
                "subject": remark.subject,
                "verdict": remark.verdict.value,
                "text": remark.text,
                "remedy": remark.remedy or None,
            }
            for remark in remarks
        ],
    }
