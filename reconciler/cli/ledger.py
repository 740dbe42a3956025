"""`reconciler ledger`: whether the record is whole, and a copy of it for others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

import typer

from reconciler.cli.common import AsJson, Config, at, fail, finish, iso, print_json, read, reading, say
from reconciler.cli.ledger_export import export
from reconciler.exit import Exit
from reconciler.gateways import KINDS
from reconciler.ledger.verify import PROBLEMS_MAX, Kept, Problem, Verification, Verifier
from reconciler.ledger.verify import verify as walk
from reconciler.settings.draft import GatewayUnusable
from reconciler.settings.model import Settings

PROBLEMS_SHOWN_MAX = 20

_HEADS = (
    re.compile(r"(?P<entry>[0-9]{1,18}):(?P<hash>[0-9a-f]{64})"),
    re.compile(r".*\bentry=(?P<entry>[0-9]{1,18}) hash=(?P<hash>[0-9a-f]{64})\b.*"),
    re.compile(r'.*"entry":(?P<entry>[0-9]{1,18}),"hash":"(?P<hash>[0-9a-f]{64})".*'),
)
"""NUMBER:HASH, or a line of the log, as a console, the journal or a JSON log has it."""

ledger = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
ledger.command()(export)


@ledger.callback()
def ledger_() -> None:
    """Look after the ledger."""


@ledger.command()
def verify(
    *,
    config: Config = None,
    head: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NUMBER:HASH",
            help="A head that was kept elsewhere, or its ledger.head lines of the log: none is cut off.",
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Walk the chain, compare every piece of evidence, and check the gateways' own signatures again."""
    heads = [kept for text in head or () for kept in _kept(text)]
    found = finish(_verify(read(config, asks=False), heads))
    if json:
        print_json(_plain(found))
    else:
        for line in _lines(found, heads):
            say(line)
    if not found.is_sound or found.unchecked:
        raise typer.Exit(Exit.UNFINISHED)


def _lines(found: Verification, heads: list[Kept]) -> Iterator[str]:
    entry, digest = found.head
    pruned = f", of entries before {at(found.pruned_before)}" if found.pruned else ""
    yield f"entries    {found.entries}, the last is {entry}:{digest}"
    yield f"evidence   {found.evidence} intact, {found.signatures} signatures verified, {found.pruned} pruned{pruned}"
    yield f"heads      {len(set(heads))} kept elsewhere, compared" if heads else _NO_HEADS
    for gateway, count in found.unchecked[:PROBLEMS_SHOWN_MAX]:
        yield f"unchecked  {count} signatures of {gateway}: {_why_unchecked(gateway)}"
    for problem in found.problems[:PROBLEMS_SHOWN_MAX]:
        yield f"problem    {_told(problem)}"
    yield _conclusion(found)


_NO_HEADS = "heads      none given: a cut end, or a record written anew, shows only against one (--head)"


def _conclusion(found: Verification) -> str:
    if not found.is_sound:
        count = f"{len(found.problems)}{' or more' if len(found.problems) == PROBLEMS_MAX else ''}"
        return f"NOT SOUND (problems: {count}), beginning with {_told(found.problems[0])}"
    unchecked = sum(count for _, count in found.unchecked)
    return f"sound, as far as it could be checked: {unchecked} signatures were not" if unchecked else "sound"


def _told(problem: Problem) -> str:
    about = [at(problem.at)] if problem.at is not None else []
    about += [f"order {problem.order_no}"] if problem.order_no else []
    where = f" ({', '.join(about)})" if about else ""
    return f"entry {problem.entry}{where}: {problem.text}"


def _plain(found: Verification) -> dict[str, object]:
    """Give the findings as documented JSON."""
    return {
        "sound": found.is_sound,
        "entries": found.entries,
        "head": {"entry": found.head[0], "hash": found.head[1]},
        "evidence": found.evidence,
        "signatures": found.signatures,
        "pruned": found.pruned,
        "pruned_before": iso(found.pruned_before),
        "unchecked": [
            {"gateway": gateway, "signatures": count, "why": _why_unchecked(gateway)}
            for gateway, count in found.unchecked
        ],
        "problems": [
            {
                "entry": problem.entry,
                "at": iso(problem.at),
                "order_no": problem.order_no or None,
                "problem": problem.text,
            }
            for problem in found.problems
        ],
    }


async def _verify(settings: Settings, heads: Iterable[Kept]) -> Verification:
    store = await reading(settings)
    try:
        return await walk(store, _Verifiers(), frozenset(heads))
    finally:
        await store.close()


class _Verifiers(Mapping[str, Verifier]):
    """The verifier of each gateway, loaded when evidence of it is met; what cannot be loaded is not tried again."""

    def __init__(self) -> None:
        self._known: dict[str, Verifier | None] = {}

    def __getitem__(self, gateway: str) -> Verifier:
        if gateway not in self._known:
            self._known[gateway] = None if _why_unchecked(gateway) else KINDS[gateway].verify_evidence
        verifier = self._known[gateway]
        if verifier is None:
            raise KeyError(gateway)
        return verifier

    def __iter__(self) -> Iterator[str]:
        return iter(KINDS)

    def __len__(self) -> int:
        return len(KINDS)


def _why_unchecked(gateway: str) -> str | None:
    """Say why nothing here can check a gateway's signatures; None where something can."""
    try:
        KINDS[gateway]
    except GatewayUnusable as problem:
        return str(problem)
    except KeyError:
        return "no gateway of that name is installed"
    return None


def _kept(text: str) -> Iterator[Kept]:
    """Read one head, or the log's lines of some."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines or [text]:
        found = next((match for match in (form.fullmatch(line) for form in _HEADS) if match), None)
        if found is None:
            fail(f"--head {line}: write it as NUMBER:HASH, or give the ledger.head line as logged", Exit.CONFIGURATION)
        yield int(found["entry"]), found["hash"]
