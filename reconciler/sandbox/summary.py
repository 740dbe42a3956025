"""What the demo says at its end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reconciler.sandbox.directory import Place
from reconciler.sandbox.invocation import command, shown_path
from reconciler.sandbox.tally import Fate, SeenCase, Tally
from reconciler.sandbox.trade import Trouble

_TEACHES_MOST = ("amount_mismatch", "needs_review", "late_payment")


def print_summary(console: Console, tally: Tally, place: Place) -> bool:
    """Print what became of the orders, and what to try next. Whether every promise was kept."""
    console.print()
    console.print(_orders(tally))
    if tally.cases:
        console.print(_cases(tally))
    for told in tally.failures:
        console.print(Text(f"{told.visit.order_no} ({told.visit.kind}): {told.fate.value}", style="bold red"))
    console.print(Text(_verdict(tally), style="bold"))
    console.print()
    console.print("Try next:")
    for line in _next(tally, place):
        console.print(Text(f"  {line}"), soft_wrap=True)
    return not tally.failures


def _orders(tally: Tally) -> Table:
    table = Table(title="What became of the orders", title_justify="left", show_header=False, box=box.SIMPLE)
    table.add_column(justify="right")
    table.add_column()
    table.add_column()
    for count, what, more in _lines(tally):
        table.add_row(str(count), what, more)
    return table


def _lines(tally: Tally) -> Iterator[tuple[int, str, str]]:
    expired, closed = tally.count(Fate.EXPIRED), tally.count(Fate.CLOSED)
    span = tally.recovered_after
    yield len(tally.told), "orders", ""
    yield tally.paid, "paid at a gateway", ""
    yield tally.count(Fate.CALLBACK), "  moved by the shop's own callback", ""
    yield tally.stuck, "  stuck", "callback late, lost or refused"
    yield (
        tally.count(Fate.RECOVERED),
        "    recovered",
        f"after payment: least {span.least_s:.1f} s, median {span.median_s:.1f} s, most {span.most_s:.1f} s"
        if span
        else "",
    )
    yield tally.paid_in_case, "    in a case", "a person is asked"
    yield expired + closed, "closed, unpaid", f"{expired} by the shop, {closed} by reconciler"
    yield tally.count(Fate.WAITING), "waiting, unpaid", "asked again until the last age"
    if unpaid := tally.count(Fate.IN_CASE) - tally.paid_in_case:
        yield unpaid, "unpaid, in a case", "a person is asked"
    yield tally.count(Fate.NOT_OURS), "not ours", "a channel nobody configured: left alone"


def _cases(tally: Tally) -> Table:
    table = Table(title="Open cases", title_justify="left", box=box.SIMPLE)
    table.add_column("kind")
    table.add_column("cases", justify="right")
    table.add_column("for example")
    table.add_column("why")
    by_kind: defaultdict[str, list[SeenCase]] = defaultdict(list)
    for case in tally.cases:
        by_kind[case.kind].append(case)
    for kind, cases in sorted(by_kind.items()):
        table.add_row(kind, str(len(cases)), cases[0].order_no, Text(cases[0].why))
    return table


def _verdict(tally: Tally) -> str:
    if tally.failures:
        return f"{len(tally.failures)} orders were neither rightly moved nor put in a case: a fault; please report it."
    return f"Each of the {tally.paid} paid orders was moved or is in a case, and none was moved without proof."


def _next(tally: Tally, place: Place) -> Iterator[str]:
    configuration = ("--config", shown_path(place.configuration))
    order_no = _worth_explaining(tally)
    if order_no is not None:
        yield command("explain", order_no, *configuration)
    if tally.cases:
        yield command("cases", "show", str(_worth_showing(tally).id), *configuration)
    yield command("ledger", "verify", *configuration)


def _worth_explaining(tally: Tally) -> str | None:
    recovered = [told.visit for told in tally.told if told.fate is Fate.RECOVERED]
    troubled = [visit for visit in recovered if visit.trouble in {Trouble.BAD_SIGNATURE, Trouble.SERVER_ERROR}]
    return next((visit.order_no for visit in (*troubled, *recovered)), None)


def _worth_showing(tally: Tally) -> SeenCase:
    teaching = [case for kind in _TEACHES_MOST for case in tally.cases if case.kind == kind]
    return (*teaching, *tally.cases)[0]
