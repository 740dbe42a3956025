"""`reconciler run`: the daemon, or one pass of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, time
from typing import Annotated

import typer

from reconciler.cli.ask import CAME_TO_NOTHING
from reconciler.cli.common import Config, fail, path_of, read, say
from reconciler.daemon import Daemon, Options
from reconciler.exit import Exit
from reconciler.flow.context import Tally
from reconciler.gateways import SETTINGS
from reconciler.ops.clock import SystemClock
from reconciler.ops.log import configure
from reconciler.ports import LedgerUnavailable, ShopUnavailable
from reconciler.settings.inventory import never_printed
from reconciler.settings.load import load
from reconciler.settings.model import Mode, Settings
from reconciler.shops.sql.mapping import MappingError
from reconciler.wiring import EnvironmentUnusable


def run(
    *,
    config: Config = None,
    once: Annotated[bool, typer.Option("--once", help="Find, ask what is due, settle, and end.")] = False,
    mode: Annotated[Mode | None, typer.Option(help="Instead of the configuration's.")] = None,
    since: Annotated[str | None, typer.Option(help="Walk from this date (YYYY-MM-DD) on, once.")] = None,
) -> None:
    """Run the daemon until it is told to stop (SIGTERM, Ctrl-C); SIGHUP reloads the configuration.

    With --once: 0 when all that was due was handled, 1 when something could not be asked or applied, 2 for a fault
    of configuration or start-up, 75 when a daemon holds the shop's lock.
    """
    settings = read(config, mode=mode)
    path = path_of(config)
    options = Options(str(path), lambda: load(path, SETTINGS, mode=mode), _since(since, settings))
    log = configure(settings.log.format)
    log.never_print(never_printed(settings))
    daemon = Daemon(options, settings, log, SystemClock())
    try:
        with asyncio.Runner(loop_factory=_loops()) as runner:
            code = _once(runner, daemon, settings) if once else runner.run(daemon.serve())
    except MappingError as error:
        fail("\n".join(f"At {problem}" for problem in error.problems), Exit.CONFIGURATION)
    except EnvironmentUnusable as error:
        fail(str(error), Exit.CONFIGURATION)
    except ShopUnavailable as error:
        fail(f"Start-up failed: {error}", Exit.CONFIGURATION)
    except LedgerUnavailable as error:
        fail(f"The ledger cannot be used: {error}", Exit.CONFIGURATION if once else Exit.UNFINISHED)
    except typer.Exit:
        raise  # a word of `fail`, and no fault
    except Exception as fault:  # noqa: BLE001 # as `serve` does: into the log, with its traceback, where it is masked
        daemon.note_fault(fault)
        code = Exit.FAULT
    finally:
        log.close()
    raise typer.Exit(code)


def _loops() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Take uvloop's loop where there is one (not on Windows, nor on PyPy): an ask costs a twentieth less."""
    try:
        from uvloop import new_event_loop  # noqa: PLC0415 # it may be missing
    except ImportError:
        return None
    return new_event_loop


def _once(runner: asyncio.Runner, daemon: Daemon, settings: Settings) -> Exit:
    code, tally, left = runner.run(daemon.once())
    if code is Exit.LOCKED:
        fail("Another process holds the shop's lock; it looks after the orders.", code)
    if tally is not None:
        for line in _summary(tally, settings):
            say(line)
    if left:
        say(left)
    return code


def _summary(tally: Tally, settings: Settings) -> list[str]:
    """Say what one pass did, for a person or a cron mail."""
    answers = Counter[str]()
    for (_, answer), count in tally.asked.items():
        answers[answer] += count
    asked = ", ".join(f"{count} {answer}" for answer, count in answers.most_common()) or "nothing was due"
    would = "" if settings.mode == "enforce" else f"; would settle {tally.would_settle} (mode observe)"
    lines = [
        f"found     {tally.found} new attempts to watch",
        f"asked     {sum(answers.values())} ({asked})",
        f"settled   {tally.settled}{would}",
        f"cases     {tally.cases_opened} opened",
    ]
    if tally.callback_won:
        lines.append(f"callback  {tally.callback_won} moved by the shop itself meanwhile")
    if tally.closed:
        lines.append(f"closed    {tally.closed}")
    if tally.closed_at_gateway:
        lines.append(f"closed    {tally.closed_at_gateway} at the gateway")
    if tally.unanswered or tally.not_applied:
        unanswered = f"{tally.unanswered} not asked or not trusted{_by_channel(tally)}"
        lines.append(f"undone    {unanswered}, {tally.not_applied} not applied")
    return lines


def _by_channel(tally: Tally) -> str:
    """Name the channels whose answers said nothing: that is where to look."""
    empty = [
        f"{channel} {count} {answer}" for (channel, answer), count in tally.asked.items() if answer in CAME_TO_NOTHING
    ]
    return f" ({', '.join(sorted(empty))})" if empty else ""


def _since(text: str | None, settings: Settings) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), settings.shop.time_zone)
    except ValueError:
        fail(f"--since {text}: is not a date; write it like 2026-11-01", Exit.CONFIGURATION)
