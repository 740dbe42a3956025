"""The real daemon and the real commands, as processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from reconciler.sandbox.errors import DaemonFailed
from reconciler.sandbox.tally import SeenCase

STOP_SECONDS = 15.0
COMMAND_SECONDS = 30.0
CASES_MAX = 10_000


@asynccontextmanager
async def daemon(configuration: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the daemon in enforce mode, its log on our own output; stop it with SIGTERM when left."""
    sys.stdout.flush()
    process = await asyncio.create_subprocess_exec(
        *_program("run", "--config", str(configuration), "--mode", "enforce"), stdin=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        await _stop(process)


async def open_cases(configuration: Path) -> Sequence[SeenCase]:
    """Ask `cases list --json`, as a person or a program would. Raises DaemonFailed."""
    output = await _output("cases", "list", "--json", "--config", str(configuration))
    try:
        return [
            SeenCase(id=int(case["id"]), kind=str(case["kind"]), order_no=str(case["order_no"]), why=str(case["why"]))
            for case in json.loads(output)[:CASES_MAX]
            if case.get("ended_at") is None
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DaemonFailed("cases list --json did not print a list of cases") from error


async def _output(*words: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *_program(*words), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(COMMAND_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError as error:
        raise DaemonFailed(f"{' '.join(words[:2])} did not end within {COMMAND_SECONDS:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != os.EX_OK:
        raise DaemonFailed(f"{' '.join(words[:2])} ended with {process.returncode}")
    return output


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):  # it ended this very moment
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise DaemonFailed(f"the daemon did not stop within {STOP_SECONDS:g} s of SIGTERM and was killed") from error


def _program(*words: str) -> Sequence[str]:
    return (sys.executable, "-m", "reconciler", *words)
