"""`reconciler cases approve|resolve|reopen|snooze`: what a person does with a case, or with all of a kind."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NoReturn

import typer

from reconciler.cli.advice import ADVICE
from reconciler.cli.cases.table import print_table
from reconciler.cli.common import AsJson, Config, fail, finish, print_json, read, reading, say
from reconciler.cli.findings import show
from reconciler.cli.leader import have_done
from reconciler.control import NOTE_LENGTH_MAX
from reconciler.control.answer import case_answer
from reconciler.domain.case import APPROVABLE, CaseKind
from reconciler.exit import Exit
from reconciler.ports import Case, CaseId
from reconciler.settings.model import Settings
from reconciler.settings.types import parse_duration

ANSWER_WITHIN_S = 120.0
SNOOZE_MAX = timedelta(days=90)
AT_ONCE_MAX = 1000
PREVIEWED_MAX = 20

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
    cases = _chosen(settings, number, kind, "approve", yes=yes, json=json)
    if others := [case for case in cases if case.kind not in APPROVABLE]:
        answers = [case_answer(case.id, case, _instead(case), done=False) for case in others]
        _refuse(answers, _instead(others[0]), json=json)
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
    cases = _chosen(settings, number, kind, "resolve for good" if final else "resolve", yes=yes, json=json)
    _do(settings, cases, {"act": "resolve", "note": note, "final": final}, json=json)


def reopen(number: OneNumber, *, config: Config = None, json: AsJson = False) -> None:
    """Open a case again that was resolved, or wake one that was snoozed; its order is asked about at once."""
    settings = read(config)
    cases = _chosen(settings, number, None, "reopen", yes=True, json=json)
    _do(settings, cases, {"act": "reopen"}, json=json)


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
    cases = _chosen(settings, number, kind, f"put off for {for_}", yes=yes, json=json)
    _do(settings, cases, {"act": "snooze", "until": until.isoformat()}, json=json)


# ------------------------------------------------------------------------------------------------------ which cases


def _chosen(
    settings: Settings, number: int | None, kind: CaseKind | None, deed: str, *, yes: bool, json: bool
) -> Sequence[Case]:
    """Give the case with this number, or the open ones of this kind if the person wants them after seeing them."""
    if (number is None) == (kind is None):
        fail("Give the number of one case, or --kind for every open one of a kind.", Exit.CONFIGURATION)
    if number is not None:
        case = finish(_one(settings, CaseId(number)))
        if case is None:
            why = f"There is no case {number}. `reconciler cases list --all` has them all."
            _refuse([case_answer(CaseId(number), None, why, done=False)], why, json=json)
        return [case]
    assert kind is not None  # noqa: S101 # one of the two was given
    cases = finish(_open(settings, kind))
    if not cases:
        _refuse([], f"There is no open case {kind.value}.", json=json)
    if len(cases) > AT_ONCE_MAX:
        cases = cases[:AT_ONCE_MAX]
        more = (
            f"There are more than {AT_ONCE_MAX}: this is about the {AT_ONCE_MAX} oldest. Run it again for the others."
        )
        print(more, file=sys.stderr)
    if not yes:
        _ask_first(cases, deed, json=json)
    return cases


def _instead(case: Case) -> str:
    """Say what to do about a case of a kind that cannot be approved."""
    kinds = ", ".join(sorted(each.value for each in APPROVABLE))
    then = f"Then `reconciler cases resolve {case.id} --note …`."
    return f"{case.kind.value} cannot be approved, only {kinds} can. {ADVICE[case.kind]} {then}"


def _ask_first(cases: Sequence[Case], deed: str, *, json: bool) -> None:
    """Show what would be done, and go on only on a person's yes; a program is not asked."""
    if not json:
        _preview(cases)
    if json or not sys.stdin.isatty():
        fail(f"Nothing was done: this would {deed} these {len(cases)}. --yes does it.", Exit.UNFINISHED)
    if not typer.confirm(f"{deed[0].upper()}{deed[1:]} these {len(cases)}?"):
        fail("Nothing was done.", Exit.UNFINISHED)


def _preview(cases: Sequence[Case]) -> None:
    print_table(cases[:PREVIEWED_MAX])
    if len(cases) > PREVIEWED_MAX:
        others = f"reconciler cases list --kind {cases[0].kind.value} --after {cases[PREVIEWED_MAX - 1].id}"
        say(f"… and {len(cases) - PREVIEWED_MAX} more: {others}")


async def _one(settings: Settings, number: CaseId) -> Case | None:
    ledger = await reading(settings)
    try:
        return await ledger.case(number)
    finally:
        await ledger.close()


async def _open(settings: Settings, kind: CaseKind) -> Sequence[Case]:
    ledger = await reading(settings)
    try:
        return await ledger.cases(kind=kind, limit=AT_ONCE_MAX + 1)
    finally:
        await ledger.close()


# -------------------------------------------------------------------------------------------------------- doing it


def _refuse(answers: Sequence[Mapping[str, Any]], why: str, *, json: bool) -> NoReturn:
    """End with what cannot be done: for a program in the same form as what was, for a person in words."""
    if json:
        print_json(answers)
        raise typer.Exit(Exit.UNFINISHED)
    fail(why, Exit.UNFINISHED)


def _do(settings: Settings, cases: Sequence[Case], act: Mapping[str, object], *, json: bool) -> None:
    """Do it to each case, as it was shown; end with 1 where one of them is not as it was wanted."""
    answers = []
    requests = [{**act, "case": case.id, "shown": case.digest} for case in cases]
    for answer in have_done(settings, "cases", requests, ANSWER_WITHIN_S):
        answers.append(answer)
        if not json:
            _print(answer)
    if json:
        print_json(answers)
    if not all(answer["done"] for answer in answers):
        raise typer.Exit(Exit.UNFINISHED)


def _print(answer: Mapping[str, Any]) -> None:
    if answer["finding"]:
        show(answer["finding"])
    say(f"case {answer['case']}   {answer['kind'] or '-'}   order {answer['order_no'] or '-'}   {answer['why']}")
