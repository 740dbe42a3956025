"""`reconciler alerts`: try whether people can be told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import typer

from reconciler.alerting import problems, targets
from reconciler.cli.common import AsJson, Config, fail, print_json, read, say
from reconciler.events import Severity
from reconciler.exit import Exit
from reconciler.ops.alerts.apprise_target import AppriseTarget, remedy_of
from reconciler.ops.alerts.post import within
from reconciler.ops.clock import SystemClock
from reconciler.ports import Message, Unheard

alerts = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
NOBODY = 'There is nobody to tell: alerts.targets is empty; name one, like ["credential:alerts"]'


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one test message."""

    target: str
    taken: bool
    why: str = ""
    remedy: str = ""


@alerts.callback()
def _group() -> None:
    """Try the targets that are told of cases and troubles."""


@alerts.command("test")
def try_out(*, config: Config = None, json: AsJson = False) -> None:
    """Send each target a test message, and say whether it took it. It ends with 1 where one did not."""
    settings = read(config)
    if faults := [str(problem) for problem in problems(settings)]:
        fail("\n".join(faults), Exit.CONFIGURATION)
    opened = targets(settings)
    if not opened:
        fail(NOBODY, Exit.CONFIGURATION)
    tried = asyncio.run(_try(opened))
    if json:
        print_json([asdict(each) for each in tried])
    else:
        for each in tried:
            say(f"{'✓' if each.taken else '✗'} {each.target}{': ' if each.why else ''}{each.why}")
            if each.remedy:
                say(f"  → {each.remedy}")
    if not all(each.taken for each in tried):
        raise typer.Exit(Exit.UNFINISHED)


async def _try(opened: Sequence[AppriseTarget]) -> Sequence[Tried]:
    return await asyncio.gather(*(_tell(target) for target in opened))


async def _tell(target: AppriseTarget) -> Tried:
    title = f"Reconciler on {socket.gethostname()}: a test"
    body = "This is a test of alerts: cases and troubles would be told of here. There is nothing to do."
    outcome = await within(SystemClock(), target, Message(title, body, Severity.NOTICE))
    if isinstance(outcome, Unheard):
        return Tried(target.name, taken=False, why=outcome.why, remedy=remedy_of(outcome.why))
    return Tried(target.name, taken=True)
