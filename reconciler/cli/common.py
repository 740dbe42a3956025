"""What the commands share: the configuration, the ways to end, and how values look."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import traceback
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, NoReturn, TypeVar

import typer

from reconciler.cli.wrap import fitting
from reconciler.domain.case import Fact
from reconciler.exit import Exit
from reconciler.gateways import SETTINGS
from reconciler.ledger import SqlLedger, open_ledger
from reconciler.ops.mask import Mask
from reconciler.ports import LedgerUnavailable, PortError
from reconciler.settings.inventory import never_printed
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

MASK: Final = Mask()
"""What commands print is masked as the log is: an error of a driver's or a library's may quote anything."""

_T = TypeVar("_T")


def path_of(config: Path | None) -> Path:
    """Say which configuration file counts."""
    return config or Path(os.environ.get("RECONCILER_CONFIG") or CONFIG_DEFAULT)


def read(config: Path | None, *, mode: Mode | None = None, asks: bool = True) -> Settings:
    """Read the configuration; where it cannot be used, print each fault on a line and end.

    A command that asks no gateway (`asks=False`) tries no key: what is in the ledger can be read all the same.
    """
    try:
        settings = load(path_of(config), SETTINGS, mode=mode, asks=asks)
    except ConfigurationError as error:
        fail(str(error), Exit.CONFIGURATION)
    never_print(settings)
    return settings


def never_print(settings: Settings) -> None:
    """Keep the secrets of this configuration off the terminal from now on, whoever prints."""
    MASK.never_print(never_printed(settings))
    logging.lastResort = _Aside(logging.WARNING)


class _Aside(logging.Handler):
    """Prints what a library has to say while no log is open: Python's own last resort, masked."""

    def emit(self, record: logging.LogRecord) -> None:
        text = logging.Formatter().format(record)
        print("\n".join(harmless(line) for line in MASK.words(text).splitlines()), file=sys.stderr)


def fail(text: str, code: Exit) -> NoReturn:
    """Say on standard error why the command ends, and end."""
    for line in text.splitlines():
        print("\n".join(fitting(harmless(line), sys.stderr)), file=sys.stderr)
    raise typer.Exit(code)


def broken(fault: BaseException) -> NoReturn:
    """Print the traceback of a fault of the program, masked, and end."""
    told = "".join(traceback.format_exception(fault))
    print("\n".join(harmless(line) for line in MASK.words(told).splitlines()), file=sys.stderr)
    print("This is a fault of the program. Report it with these lines.", file=sys.stderr)
    sys.exit(Exit.FAULT)


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


def harmless(text: str) -> str:
    """Keep what shop or gateway wrote from steering the terminal, and secrets off it."""
    text = MASK.text(text)
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def say(text: str = "") -> None:
    """Print one line, harmless; on a terminal that is narrower it goes on below, broken between words."""
    print("\n".join(fitting(harmless(text), sys.stdout)))


def process(who: str) -> str:
    """Show who led, host and process as the ledger has them, so that nobody takes the process for a port."""
    host, _, number = who.rpartition(":")
    return f"{host}, process {number}" if host else who


def side_by_side(facts: Sequence[Fact]) -> Iterator[str]:
    """Lay facts out as lines: theirs on the left, ours on the right, and whether they agree."""
    names = max((len(fact.name) for fact in facts), default=0)
    theirs = max((len(fact.theirs) for fact in facts), default=0)
    yield f"  {'':{names}}   {'theirs':{theirs}}     ours"
    for fact in facts:
        yield f"  {fact.name:{names}}   {fact.theirs:{theirs}}  {'=' if fact.agrees else '≠'}  {fact.ours}"


def print_json(value: object) -> None:
    """Print JSON for a program: UTF-8, two spaces, times in ISO 8601."""
    print(json.dumps(_masked(value), ensure_ascii=False, indent=2, default=str))


def _masked(value: object) -> object:
    match value:
        case str():
            return MASK.text(value)
        case Mapping():
            return {name: _masked(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_masked(inner) for inner in value]
        case _:
            return value


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
