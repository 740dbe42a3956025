"""`reconciler ledger export`: entries for an auditor, or for a dispute with a gateway."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO
from zoneinfo import ZoneInfo

import typer

from reconciler.cli.common import Config, fail, finish, harmless, read, reading
from reconciler.exit import Exit
from reconciler.ledger.export import jsonl, record, table
from reconciler.ledger.walk import Selection, TooManyOrders
from reconciler.settings.model import Settings

PAGE = 500


class Format(StrEnum):
    """How the entries are written."""

    JSONL = "jsonl"
    CSV = "csv"


@dataclass(slots=True)
class _Told:
    """What was exported."""

    entries: int = 0
    first: int = 0
    last: int = 0
    head: tuple[int, str] = (0, "")


def export(
    *,
    config: Config = None,
    order: Annotated[
        str | None, typer.Option(metavar="ORDER", help="Entries about this order: its order_no, out_trade_no or key.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="Entries from this date (YYYY-MM-DD, perhaps with a time) on.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="Entries before this date.")] = None,
    form: Annotated[Format, typer.Option("--format", help="JSON lines, or a table.")] = Format.JSONL,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="A new file, instead of standard output.")] = None,
) -> None:
    """Write entries out, with evidence, signatures and keys: whoever gets them can check them without Reconciler.

    All of them, or those of an order, of a time, or of both. Evidence holds personal data.
    """
    settings = read(config, asks=False)
    zone = settings.shop.time_zone
    if order is not None and not order.strip():
        fail("--order: name an order", Exit.CONFIGURATION)
    selection = Selection(order, _moment("--since", since, zone), _moment("--until", until, zone))
    with _opened(output) as target:
        told = finish(_export(settings, selection, form, target))
        if not told.entries:
            fail("No entry of the ledger is in this selection; nothing was written.", Exit.UNFINISHED)
    number, digest = told.head
    where = f", into {output}" if output is not None else ""
    said = f"{told.entries} entries, {told.first} to {told.last}{where}; the ledger ends with {number}:{digest}"
    print(harmless(said), file=sys.stderr)


async def _export(settings: Settings, selection: Selection, form: Format, target: BinaryIO) -> _Told:
    ledger, told = await reading(settings), _Told()
    written = jsonl if form is Format.JSONL else table
    try:
        async for steps in ledger.chosen(selection, PAGE):
            target.write(written(map(record, steps), first=not told.entries))
            told.first = told.first or steps[0].row.id
            told.last, told.entries = steps[-1].row.id, told.entries + len(steps)
        told.head = await ledger.head()
    except TooManyOrders as error:
        fail(f"{error}; export by time instead", Exit.CONFIGURATION)
    finally:
        await ledger.close()
    return told


def _moment(option: str, text: str | None, zone: ZoneInfo) -> datetime | None:
    """Read a date, which begins at midnight in the shop's zone, or a time, there too where it names no offset."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text) if len(text) > len("2026-11-01") else None
        moment = moment or datetime.combine(date.fromisoformat(text), time())
    except ValueError:
        fail(f"{option} {text}: write it like 2026-11-01 or 2026-11-01T16:00:00+08:00", Exit.CONFIGURATION)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


@contextmanager
def _opened(output: Path | None) -> Iterator[BinaryIO]:
    """Give what to write to. A file appears under its name when it is complete, for its owner alone, or not at all."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if os.path.lexists(output):
        fail(_THERE.format(output), Exit.CONFIGURATION)
    part = output.with_name(f".{output.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _name(part, output)
    except FileExistsError:
        fail(_THERE.format(output), Exit.CONFIGURATION)
    except OSError as error:
        fail(f"--output {output}: cannot be written: {error.strerror}", Exit.UNFINISHED)
    finally:
        part.unlink(missing_ok=True)


def _name(part: Path, output: Path) -> None:
    """Give a complete file its name, and never another's: linking refuses what is there."""
    try:
        os.link(part, output)
    except FileExistsError:
        raise
    except OSError:  # a file system without links, as sticks have them
        if os.path.lexists(output):
            raise FileExistsError from None
        part.rename(output)


_THERE = "--output {}: is there already; name another file, or take that one away"
