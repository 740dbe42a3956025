"""`reconciler cases approve|resolve|reopen|snooze`: what a person does with a case, or with all of a kind."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from reconciler.cli.advice import ADVICE
from reconciler.cli.by_hand import in_charge, whoever_this_is
from reconciler.cli.cases.table import print_table
from reconciler.cli.common import AsJson, Config, fail, finish, print_json, read, reading, say
from reconciler.cli.findings import show
from reconciler.control import socket_path
from reconciler.control_cases import NOTE_LENGTH_MAX, handle_case
from reconciler.domain.case import APPROVABLE, CaseKind
from reconciler.exit import Exit
from reconciler.ops.control import CommandRefused
from reconciler.ops.control_client import ControlError, NoDaemon, call
from reconciler.ports import Case, CaseId
from reconciler.settings.model import Settings
from reconciler.settings.types import parse_duration

ANSWER_WITHIN_S = 120.0
SNOOZE_MAX = timedelta(days=90)

Number = Annotated[int | None, typer.Argument(metavar="[ID]", help="The case's number, from `cases list`.")]
OneNumber = Annotated[int, typer.Argument(metavar="ID", help="The case's number, from `cases list --all`.")]
Kind = Annotated[
    CaseKind | None, typer.Option("--kind", metavar="KIND", help="Every open case of this kind, after a preview.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask after the preview: for scripts.")]


def approve(
    number: Number = None, *, kind: Kind = None, yes: Yes = False, config: Config = None, json: AsJson = False
) -> None:
    """Wave a question through: the gateway is asked again, it is decided again, and settled if nothing else speaks up.

    For needs_review, late_payment and settle_refused only. Not in mode observe.
    """
    settings = read(config)
    cases = _chosen(settings, number, kind, "approve", yes=yes)
    for case in cases:
        if case.kind not in APPROVABLE:
            kinds = ", ".join(sorted(each.value for each in APPROVABLE))
            then = f"Then `reconciler cases resolve {case.id} --note …`."
            fail(f"{case.kind.value} cannot be approved, only {kinds} can. {ADVICE[case.kind]} {then}", Exit.UNFINISHED)
    _do(settings, cases, {"act": "approve"}, json=json)


def resolve(  # noqa: PLR0913 # a command has as many options
    number: Number = None,
    *,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What was done about it; kept in the ledger.")],
    kind: Kind = None,
    final: Annotated[
        bool, typer.Option("--final", help="The order is not to be moved any more, whatever comes.")
    ] = False,
    yes: Yes = False,
    config: Config = None,
    json: AsJson = False,
) -> None:
    """End a case that was dealt with; the same facts stay silent from then on."""
    if not 0 < len(note.strip()) <= NOTE_LENGTH_MAX:
        fail(f"--note: a few words on what was done, at most {NOTE_LENGTH_MAX} characters", Exit.CONFIGURATION)
    settings = read(config)
    cases = _chosen(settings, number, kind, "resolve for good" if final else "resolve", yes=yes)
    _do(settings, cases, {"act": "resolve", "note": note, "final": final}, json=json)


def reopen(number: OneNumber, *, config: Config = None, json: AsJson = False) -> None:
    """Open a case again that was resolved, or wake one that was snoozed; its order is asked about at once."""
    settings = read(config)
    _do(settings, _chosen(settings, number, None, "reopen", yes=True), {"act": "reopen"}, json=json)


def snooze(
    number: Number = None,
    *,
    for_: Annotated[str, typer.Option("--for", metavar="DURATION", help='How long: "30m", "4h", "2d"; 90d at most.')],
    kind: Kind = None,
    yes: Yes = False,
    config: Config = None,
    json: AsJson = False,
) -> None:
    """Put a case off: it stays open and is listed, and nobody is reminded of it until then. New facts wake it."""
    try:
        span = parse_duration(for_)
    except ValueError as error:
        fail(f"--for {for_}: {error}", Exit.CONFIGURATION)
    if not timedelta(0) < span <= SNOOZE_MAX:
        fail(f"--for {for_}: must be more than nothing, and 90d at most", Exit.CONFIGURATION)
    settings = read(config)
    until = datetime.now(UTC).astimezone() + span
    cases = _chosen(settings, number, kind, f"put off for {for_}", yes=yes)
    _do(settings, cases, {"act": "snooze", "until": until.isoformat()}, json=json)


# ------------------------------------------------------------------------------------------------------ which cases


def _chosen(settings: Settings, number: int | None, kind: CaseKind | None, deed: str, *, yes: bool) -> Sequence[Case]:
    """Give the case with this number, or the open ones of this kind if the person wants them after seeing them."""
    if (number is None) == (kind is None):
        fail("Give the number of one case, or --kind for every open one of a kind.", Exit.CONFIGURATION)
    if number is not None:
        case = finish(_one(settings, CaseId(number)))
        if case is None:
            fail(f"There is no case {number}. `reconciler cases list --all` has them all.", Exit.UNFINISHED)
        return [case]
    cases = [case for case in finish(_open(settings)) if case.kind is kind]
    if not cases:
        fail(f"There is no open case {kind.value if kind else ''}.", Exit.UNFINISHED)
    if not yes:
        _ask_first(cases, deed)
    return cases


def _ask_first(cases: Sequence[Case], deed: str) -> None:
    """Show what would be done, and go on only on a person's yes."""
    print_table(cases)
    if not sys.stdin.isatty():
        fail(f"Nothing was done: this would {deed} these {len(cases)}. --yes does it.", Exit.UNFINISHED)
    if not typer.confirm(f"{deed[0].upper()}{deed[1:]} these {len(cases)}?"):
        fail("Nothing was done.", Exit.UNFINISHED)


async def _one(settings: Settings, number: CaseId) -> Case | None:
    ledger = await reading(settings)
    try:
        return await ledger.case(number)
    finally:
        await ledger.close()


async def _open(settings: Settings) -> Sequence[Case]:
    ledger = await reading(settings)
    try:
        return await ledger.cases()
    finally:
        await ledger.close()


# -------------------------------------------------------------------------------------------------------- doing it


def _do(settings: Settings, cases: Sequence[Case], act: Mapping[str, object], *, json: bool) -> None:
    """Do it to each case, as it was shown; end with 1 where one of them is not as it was wanted."""
    answers = []
    for answer in _carried_out(settings, [{**act, "case": case.id, "shown": case.digest} for case in cases]):
        answers.append(answer)
        if not json:
            _print(answer)
    if json:
        print_json(answers)
    if not all(answer["done"] for answer in answers):
        raise typer.Exit(Exit.UNFINISHED)


def _carried_out(settings: Settings, requests: Sequence[Mapping[str, object]]) -> Iterator[Mapping[str, Any]]:
    """Have the leader carry them out one after another; without one take the lock, once, for those that are left."""
    for place, request in enumerate(requests):
        try:
            yield call(socket_path(settings), "cases", request, ANSWER_WITHIN_S)
        except NoDaemon:
            yield from finish(_by_ourselves(settings, requests[place:]))
            return
        except ControlError as error:
            fail(f"The daemon did not do it: {error}", Exit.UNFINISHED)


async def _by_ourselves(settings: Settings, requests: Sequence[Mapping[str, object]]) -> Sequence[Mapping[str, object]]:
    async with in_charge(settings) as assembly:
        try:
            return [await handle_case(assembly, {**request, "by": whoever_this_is()}) for request in requests]
        except CommandRefused as refused:
            fail(str(refused), Exit.UNFINISHED)


def _print(answer: Mapping[str, Any]) -> None:
    if answer["finding"]:
        show(answer["finding"])
    say(f"case {answer['case']}   {answer['kind'] or '-'}   order {answer['order_no'] or '-'}   {answer['why']}")
