"""What each command prints with --json beside a real daemon is what its page says: the same fields, of that sort."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

from reconciler.ledger import evidence as evidence_of
from tests.acceptance.receiver import Receiver
from tests.acceptance.world import PAID, Process, World, until
from tests.unit.docs.book import Book
from tests.unit.docs.commands import documented, with_json

pytestmark = pytest.mark.acceptance

LEARNED_FROM: Final = 100
"""So many payments make the ages learned ones."""
SETTLE: Final = '[find]\nevery = "100ms"\n[settle]\ngrace = "0s"\n'
MORE: Final = (
    f'review_over = "150.00"\n[processing_limits]\n"{PAID}" = "10m"\n[audit]\nrate = 0\n[ask]\nages = "learned"\n'
)


@dataclass
class Printer:
    """Runs commands, and keeps what they print."""

    world: World
    config: Path
    printed: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))

    async def run(self, words: str, *arguments: str, code: int = 0, config: Path | None = None) -> Any:  # noqa: ANN401 # whatever the command documents
        """Run a command with --json; give what it printed."""
        ended, output, errors = await self.world.heard(config or self.config, *words.split(), *arguments, "--json")
        assert ended == code, output + errors
        self.printed[words].append(json.loads(output))
        return self.printed[words][-1]


@pytest.fixture(name="printer")
async def printer_fixture(world: World, receiver: Receiver) -> Printer:
    """Settle as many orders as ages are learned from; then configure what else a command could speak of."""
    for number in range(LEARNED_FROM):
        world.order(f"A{number:03d}")
        world.pay(f"A{number:03d}")
    code, output, _ = await world.once(world.configuration(extra=SETTLE))
    assert code == 0, output
    target = receiver.target(world.directory, "everything")
    return Printer(world, world.configuration(extra=f'{SETTLE}{MORE}[alerts]\ntargets = ["{target}"]\n'))


@pytest.mark.timeout(400)
async def test_each_command_prints_the_fields_that_its_page_names(printer: Printer, receiver: Receiver) -> None:
    world = printer.world
    for order_no, fen, paid_fen in (("SHORT", 9900, 1), ("DEAR", 20_000, 20_000), ("GOOD", 9900, 9900)):
        world.order(order_no, fen)
        world.pay(order_no, paid_fen)
    world.order("WAITS", channel="wechat")
    await printer.run("pause", "--channel", "wechat-main")
    daemon = await world.start(printer.config)
    cases = {line["order_no"]: str(line["case_id"]) for line in await daemon.until("case.opened", 2)}
    await daemon.until("ages.learned")
    await until((world.directory / "a.sock").exists)
    await an_order_and_its_cases(printer, cases)
    await what_is_paused(printer)
    await targets(printer, receiver)
    await printer.run("doctor")
    await the_shop_away(printer, daemon)
    assert await daemon.stop() == 0
    await printer.run("status")
    await an_altered_ledger(printer)
    shown = await printer.run("config show")
    code, toml = await world.command(printer.config, "config", "show")
    assert (code, shown) == (0, tomllib.loads(toml)), "the same as JSON"

    assert set(printer.printed) == with_json()
    book = Book()
    wrong = {
        words: found
        for words, outputs in printer.printed.items()
        if words != "config show" and (found := sorted(faults(documented(book, words), outputs)))
    }
    assert not wrong, json.dumps(wrong, indent=2)


async def an_order_and_its_cases(printer: Printer, cases: Mapping[str, str]) -> None:
    short, dear = cases["SHORT"], cases["DEAR"]
    await printer.run("ask", "SHORT")
    await printer.run("explain", "SHORT")
    await printer.run("cases")
    await printer.run("cases list")
    await printer.run("cases approve", dear)
    await printer.run("cases approve", short, code=1)
    await printer.run("cases snooze", short, "--for", "4h")
    await printer.run("cases show", short)
    await printer.run("cases reopen", short)
    await printer.run("cases resolve", short, "--note", "refunded by hand", "--final")
    for words, options in (("approve", ()), ("resolve", ("--note", "x")), ("reopen", ()), ("snooze", ("--for", "1d"))):
        await printer.run(f"cases {words}", "999", *options, code=1)
    await printer.run("cases list", "--all")
    await printer.run("cases show", short)
    await printer.run("explain", "DEAR")


async def what_is_paused(printer: Printer) -> None:
    await printer.run("pause")
    await printer.run("pause", "--settling")
    await printer.run("explain", "WAITS")
    await printer.run("status")
    await printer.run("resume")
    await printer.run("resume")


async def targets(printer: Printer, receiver: Receiver) -> None:
    await printer.run("alerts test")
    receiver.status = 403
    await printer.run("alerts test", code=1)
    receiver.status = 200


async def the_shop_away(printer: Printer, daemon: Process) -> None:
    away = printer.world.shop.with_suffix(".away")
    printer.world.shop.rename(away)
    await daemon.until("shop.unavailable")
    await printer.run("status")
    await printer.run("explain", "SHORT")
    away.rename(printer.world.shop)
    await daemon.until("shop.available")


async def an_altered_ledger(printer: Printer) -> None:
    """Verify the ledger, and a copy in which somebody has altered an entry, and the gateway of an answer."""
    await printer.run("ledger verify")
    copy = printer.world.directory / "b-ledger.db"
    shutil.copy(printer.world.directory / "a-ledger.db", copy)
    with contextlib.closing(sqlite3.connect(copy)) as ledger, ledger:
        ledger.row_factory = sqlite3.Row
        ledger.execute("UPDATE entries SET order_no = 'B1' WHERE id = 2")
        (one,) = ledger.execute("SELECT * FROM evidence WHERE key_fingerprint IS NOT NULL LIMIT 1")
        other = replace(evidence_of.read(one), gateway="lantern").digest()
        ledger.execute("UPDATE evidence SET gateway = 'lantern', digest = ? WHERE digest = ?", [other, one["digest"]])
        ledger.execute("UPDATE entries SET evidence_digest = ? WHERE evidence_digest = ?", [other, one["digest"]])
    config = printer.world.directory / "b.toml"
    config.write_text(printer.config.read_text().replace("a-ledger.db", copy.name))
    await printer.run("ledger verify", code=1, config=config)


# ------------------------------------------------------------------------------------------------- the page's own words


def faults(fields: Mapping[str, str], outputs: Sequence[object]) -> Iterator[str]:
    """Name each field that is printed and not documented, documented and never printed, or of another sort."""
    seen = set()
    for output in outputs:
        for path, value in leaves(output, "", fields):
            seen.add(path)
            if path in fields:
                if not is_as_told(value, fields[path]):
                    yield f"{path} is {value!r}, and the page says: {fields[path]}"
            elif not (value is None and is_told_to_be_null(path, fields)):
                yield f"{path} is not documented"
    yield from (f"{path} was never printed" for path in fields.keys() - seen)


def leaves(value: object, path: str, fields: Mapping[str, str]) -> Iterator[tuple[str, object]]:
    """Give each value with its path, as deep as the page goes; an object that has a line of its own is one, too."""
    if isinstance(value, list):
        for item in value:
            yield from leaves(item, f"{path}[]", fields)
        return
    members = any(name.startswith(f"{path}.") for name in fields) or not path
    if path in fields or not (isinstance(value, dict) and members):
        yield path, value
    if isinstance(value, dict) and members:
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name, fields)


def is_told_to_be_null(path: str, fields: Mapping[str, str]) -> bool:
    """Whether the line of a member says so of its object."""
    return any(f"`{path}` is null" in told for name, told in fields.items() if name.startswith(f"{path}."))


def is_as_told(value: object, told: str) -> bool:
    """Whether a value is of the sort that its line on the page begins with."""
    if value is None:
        return "null" in told
    if value == "":
        return "empty" in told
    match told.partition(" ")[0].strip(",;:s"):
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "text":
            return isinstance(value, str)
        case "true" | "fal" | "false":
            return isinstance(value, bool)
        case "time":
            return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
        case "object":
            return isinstance(value, dict)
        case _:
            return True
