"""The demo as a person runs it: the real daemon, and the commands that it proposes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

KINDS = (
    "amount_mismatch",
    "late_payment",
    "merchant_mismatch",
    "needs_review",
    "order_vanished",
    "refunded_while_pending",
    "unreadable_order",
    "unrecognised_state",
    "untrusted_answer",
)


async def process(*words: str, directory: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *words,
        cwd=directory,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


async def test_the_demo_loses_no_paid_order_and_the_commands_it_proposes_work(tmp_path: Path) -> None:
    demo = await process(sys.executable, "-m", "reconciler", "demo", "--seconds", "25", directory=tmp_path)
    said, log = (output.decode() for output in await demo.communicate())
    assert demo.returncode == 0, said + log
    assert "paid orders was moved or is in a case, and none was moved without proof." in said
    assert [kind for kind in KINDS if kind not in said] == []
    assert "Traceback" not in log
    proposed = [line.strip() for line in said.partition("Try next:")[2].splitlines() if line.strip()]
    assert len(proposed) == 3
    for line in proposed:
        command = await process(*shlex.split(line), directory=tmp_path)
        output, complaint = await command.communicate()
        assert (command.returncode, complaint) == (0, b""), line
        assert output


async def test_a_demo_that_is_interrupted_takes_its_daemon_with_it(tmp_path: Path) -> None:
    demo = await process(sys.executable, "-m", "reconciler", "demo", directory=tmp_path)
    assert demo.stderr is not None
    assert demo.stdout is not None
    async with asyncio.timeout(60):
        await asyncio.wait(
            [asyncio.create_task(stream.readuntil(b"order.settled")) for stream in (demo.stdout, demo.stderr)],
            return_when=asyncio.FIRST_COMPLETED,
        )
    demo.terminate()
    async with asyncio.timeout(60):
        await demo.wait()
    assert demo.returncode == 128 + signal.SIGTERM
    with contextlib.suppress(ProcessLookupError):
        os.killpg(demo.pid, 0)
        pytest.fail("something of the demo is still running")
