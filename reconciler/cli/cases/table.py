"""A list of cases: laid out on a terminal, a line each elsewhere."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from reconciler.cli.common import at, harmless, length
from reconciler.ports import Case

HEADINGS = ("id", "age", "kind", "order", "amount", "channel", "why")
AMOUNT = HEADINGS.index("amount")
"""On a terminal alone: programs that cut lines of a pipe go by the columns that these always had."""


def state_of(case: Case) -> str:
    """Say how a case stands."""
    if case.ended_at:
        return f"ended {at(case.ended_at)}: {case.ending}{'; for good' if case.final else ''}"
    if case.snoozed_until and case.snoozed_until > datetime.now(UTC):
        return f"open, put off until {at(case.snoozed_until)}"
    return "open"


def print_table(cases: Sequence[Case]) -> None:
    """Print cases: laid out on a terminal; elsewhere one line a case, for grep."""
    now = datetime.now(UTC)
    rows = []
    for case in cases:
        state = state_of(case)
        why = case.why if state == "open" else f"{case.why} [{state}]"
        amount, channel = str(case.amount or "-"), case.channel or "-"
        order_no, why = harmless(case.order_no), harmless(why)  # the others are words of ours
        rows.append([str(case.id), length(now - case.opened_at), case.kind.value, order_no, amount, channel, why])
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join([*row[:AMOUNT], *row[AMOUNT + 1 :]]))
        return
    columns = importlib.import_module("reconciler.cli.cases.columns")  # a pipe has none, and spares the loading
    for line in columns.laid_out(HEADINGS, rows):
        print(line)
