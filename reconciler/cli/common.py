"""What the commands share: the configuration, the ways to end, and how values look."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer

from reconciler.domain.case import Fact
from reconciler.exit import Exit
from reconciler.flow.channel import BY_HAND_MARK
from reconciler.gateways import SETTINGS
from reconciler.ledger import SqlLedger, open_ledger
from reconciler.ports import LedgerUnavailable, PortError
from reconciler.settings.load import load
from reconciler.settings.model import Mode, Settings
from reconciler.settings.problems import ConfigurationError

CONFIG_DEFAULT = Path("/etc/reconciler/reconciler.toml")

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", help="The configuration file. [default: $RECONCILER_CONFIG, else /etc/reconciler/reconciler.toml]"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a program.")]

_T = TypeVar("_T")


def path_of(config: Path | None) -> Path:
    """Say which configuration file counts."""
    return config or Path(os.environ.get("RECONCILER_CONFIG") or CONFIG_DEFAULT)


def read(config: Path | None, *, mode: Mode | None = None) -> Settings:
    """Read the configuration; where it cannot be used, print each fault on a line and end."""
    try:
        return load(path_of(config), SETTINGS, mode=mode)
    except ConfigurationError as error:
        fail(str(error), Exit.CONFIGURATION)


def fail(text: str, code: Exit) -> NoReturn:
    """Say on standard error why the command ends, and end."""
    print(text, file=sys.stderr)
    raise typer.Exit(code)


def finish(work: Coroutine[object, object, _T]) -> _T:
    """Run a command to its end; where shop or ledger fail meanwhile, say so and end."""
    try:
        return asyncio.run(work)
    except PortError as error:
        fail(str(error), Exit.UNFINISHED)


async def reading(settings: Settings) -> SqlLedger:
    """Open the ledger to read; where there is none, say so and end."""
    try:
        store = settings.ledger
        password, tls_ca = (secret.reveal() if secret else None for secret in (store.password, store.tls_ca))
        return await open_ledger(store.url, password, create=False, tls=store.tls, tls_ca=tls_ca)
    except LedgerUnavailable as error:
        fail(f"The ledger cannot be read: {error}", Exit.CONFIGURATION)


async def pauses(ledger: SqlLedger, channels: Iterable[str]) -> dict[str, dict[str, str]]:
    """Read which channels are paused, by themselves or by hand, with since when and why."""
    found = {}
    for name in channels:
        kept = await ledger.mark(f"{BY_HAND_MARK}{name}") or await ledger.mark(f"channel.paused.{name}")
        if kept:
            found[name] = json.loads(kept)
    return found


def harmless(text: str) -> str:
    """Keep what shop or gateway wrote from steering the terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def say(text: str = "") -> None:
    """Print one line, harmless."""
    print(harmless(text))


def side_by_side(facts: Sequence[Fact]) -> Iterator[str]:
    """Lay facts out as lines: theirs on the left, ours on the right, and whether they agree."""
    names = max((len(fact.name) for fact in facts), default=0)
    theirs = max((len(fact.theirs) for fact in facts), default=0)
    yield f"  {'':{names}}   {'theirs':{theirs}}     ours"
    for fact in facts:
        yield f"  {fact.name:{names}}   {fact.theirs:{theirs}}  {'=' if fact.agrees else '≠'}  {fact.ours}"


def print_json(value: object) -> None:
    """Print JSON for a program: UTF-8, two spaces, times in ISO 8601."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def at(moment: datetime | None) -> str:
    """Show a moment in this machine's zone, to the second, with its offset."""
    return moment.astimezone().isoformat(timespec="seconds") if moment else "-"


def iso(moment: datetime | None) -> str | None:
    """Give a moment to a program: ISO 8601 in UTC."""
    return moment.astimezone(UTC).isoformat() if moment else None


def length(span: timedelta) -> str:
    """Show a length of time as a person says it: 4m12s."""
    seconds = int(span.total_seconds())
    if seconds < 0:
        return f"-{length(-span)}"
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [f"{value}{unit}" for value, unit in ((days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")) if value]
    return "".join(parts[:2]) or "0s"
