"""`reconciler demo`: the whole thing on this machine in half a minute."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reconciler.exit import Exit
from reconciler.ops.clock import SystemClock
from reconciler.sandbox.demonstration import Demonstration
from reconciler.sandbox.directory import fresh_place
from reconciler.sandbox.errors import SandboxError
from reconciler.sandbox.plan import DEMO_SECONDS_MIN
from reconciler.sandbox.summary import print_summary

SECONDS_MAX = 600


def demo(
    seconds: Annotated[int, typer.Option(min=DEMO_SECONDS_MIN, max=SECONDS_MAX, help="How long the daemon runs.")] = 30,
    directory: Annotated[
        Path, typer.Option(help="Where its files go; wiped first, if an earlier demo or sandbox made it.")
    ] = Path("demo"),
) -> None:
    """Show the whole thing at work: gateways, a shop whose buyers lose their callbacks, and the daemon."""
    try:
        code = asyncio.run(_demo(seconds, directory))
    except SandboxError as error:
        print(f"demo: {error}", file=sys.stderr)
        code = Exit.CONFIGURATION
    except OSError as error:
        print(f"demo: {error.filename or directory}: {error.strerror or error}", file=sys.stderr)
        code = Exit.CONFIGURATION
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        print("demo: stopped before its end, and the daemon with it", file=sys.stderr)
        code = 128 + (signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM)
    raise typer.Exit(code)


async def _demo(seconds: int, directory: Path) -> int:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 # asyncio.run makes one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with fresh_place(directory) as place:
        tally = await Demonstration(place, seconds, SystemClock()).run()
        return Exit.DONE if print_summary(Console(), tally, place) else Exit.UNFINISHED
